"""Which network a state dict belongs to, from its names and shapes."""

import functools
import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from lpjax import data, models
from lpjax.choices import one_of
from lpjax.interop.layout import torch_keys, torch_shape
from lpjax.types import Variables

_CONSTANTS = ("normalize.mean", "normalize.std")
_ANY_SIZE = 64
_HEADS = ("fc.weight", "classifier.weight", "classifier.3.weight")


class Architecture(NamedTuple):
    """A network of `lpjax.models`.

    Attributes:
      model: Its name in `lpjax.models.NAMES`.
      classes: Outputs.
      width: Channels of the first convolution.
      channels: Of an image.
    """

    model: str
    classes: int
    width: int
    channels: int


def recognize(weights: Mapping[str, np.ndarray], model: str = "") -> Architecture:
    """Finds the network that has exactly these parameters and statistics.

    Args:
      weights: Arrays by plain names, in PyTorch's layout, as `split_masks` returns them.
      model: The only name to try; by default all of `lpjax.models.NAMES`.

    Returns:
      The architecture.

    Raises:
      ValueError: If none fits, naming the nearest and the first entry in which it differs.

    Example:
      >>> wanted = Architecture('resnet8', classes=10, width=4, channels=3)
      >>> names, leaves = jax.tree.leaves(torch_keys(template(wanted))), jax.tree.leaves(template(wanted))
      >>> recognize({name: np.zeros(torch_shape(leaf.shape)) for name, leaf in zip(names, leaves, strict=True)})
      Architecture(model='resnet8', classes=10, width=4, channels=3)
    """
    got = {name: np.shape(array) for name, array in weights.items()}
    stem = next((shape for shape in got.values() if len(shape) == 4), (0, 0))
    stem = got.get("conv1.weight", got.get("features.0.weight", stem))
    head = next((got[name] for name in _HEADS if name in got), (1,))
    if len(stem) != 4 or stem[0] % 2 or not head:
        raise ValueError("no network of lpjax fits: there is no first convolution with an even number of channels")
    names = (one_of("model", model, models.NAMES),) if model else models.NAMES
    candidates = [Architecture(name, head[0], stem[0], stem[1]) for name in names]
    for candidate in candidates:
        if _shapes(candidate) == got:
            return candidate
    nearest = max(candidates, key=lambda candidate: len(_shapes(candidate).items() & got.items()))
    raise ValueError(f"no network of lpjax fits: {nearest.model} is nearest, but {_difference(got, _shapes(nearest))}")


@functools.cache
def template(architecture: Architecture) -> Variables:
    """Builds the shapes of a network.

    Args:
      architecture: Which.

    Returns:
      Variables of `jax.ShapeDtypeStruct`.
    """
    model, classes, width, channels = architecture
    options: dict[str, Any] = {"width": width} if "width" in inspect.signature(models.MODELS[model]).parameters else {}
    module = models.build(model, classes=classes, **options)
    image = (_ANY_SIZE, _ANY_SIZE, channels)
    return jax.eval_shape(lambda key: models.initialize(module, key, image), jax.random.key(0))


def dataset_of(state: Mapping[str, np.ndarray]) -> str | None:
    """Tells which data set the constants of a network's own normalization are those of.

    Args:
      state: Arrays by name, with or without `normalize.mean` and `normalize.std`.

    Returns:
      A name of `lpjax.data.PUBLISHED`, or None without constants.

    Raises:
      ValueError: If the constants are of no data set that lpjax knows.

    Example:
      >>> dataset_of({'normalize.mean': np.array([0.5071, 0.4866, 0.4409]), 'normalize.std': np.ones(3) / 4})
      Traceback (most recent call last):
      ValueError: it normalizes images by mean 0.5071 0.4866 0.4409, std 0.25 0.25 0.25, which are those of neither cifar10 nor cifar100 nor imagenet2012; lpjax would feed it other images
    """  # noqa: E501
    plain = {name.removeprefix("module."): np.ravel(array) for name, array in state.items()}
    if not any(name in plain for name in _CONSTANTS):
        return None
    mean, std = (plain.get(name, np.zeros(0)) for name in _CONSTANTS)
    for name, published in data.PUBLISHED.items():
        if mean.shape == std.shape == (3,) and np.allclose((mean, std), published, rtol=0, atol=1e-6):
            return name
    said = [" ".join(f"{value:.4g}" for value in values) for values in (mean, std)]
    raise ValueError(
        f"it normalizes images by mean {said[0]}, std {said[1]}, which are those of neither "
        f"{' nor '.join(data.PUBLISHED)}; lpjax would feed it other images"
    )


def _shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    variables = template(architecture)
    leaves = zip(jax.tree.leaves(torch_keys(variables)), jax.tree.leaves(variables), strict=True)
    return {name: torch_shape(leaf.shape) for name, leaf in leaves}


def _difference(got: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]) -> str:
    for name, shape in wanted.items():
        if name not in got:
            return f"{name!r} is missing"
        if got[name] != shape:
            return f"{name!r} has shape {got[name]}, wanted {shape}"
    return f"{min(set(got) - set(wanted))!r} is none of its entries"
