"""Recognition of the architecture of a state dict, from names and shapes."""

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
    """An architecture of `lpjax.models`.

    Attributes:
      model: Name in `lpjax.models.NAMES`.
      classes: Number of classes.
      width: Channels of the first convolution.
      channels: Channels of the images.
    """

    model: str
    classes: int
    width: int
    channels: int


def recognize(weights: Mapping[str, np.ndarray], model: str = "") -> Architecture:
    """Finds the architecture that has exactly these parameters and statistics.

    Args:
      weights: Arrays by name, in PyTorch's layout, from `split_masks`.
      model: Required name; by default all of `lpjax.models.NAMES` are tried.

    Returns:
      The architecture.

    Raises:
      ValueError: If none fits; the message names the nearest one and the first entry that differs.

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
        raise ValueError("no architecture fits: expected a first convolution with an even number of channels")
    names = (one_of("model", model, models.NAMES),) if model else models.NAMES
    candidates = [Architecture(name, head[0], stem[0], stem[1]) for name in names]
    for candidate in candidates:
        if _shapes(candidate) == got:
            return candidate
    nearest = max(candidates, key=lambda candidate: len(_shapes(candidate).items() & got.items()))
    raise ValueError(f"no architecture fits; the nearest is {nearest.model}, but {_difference(got, _shapes(nearest))}")


@functools.cache
def template(architecture: Architecture) -> Variables:
    """Computes the shapes of the variables of an architecture.

    Args:
      architecture: The architecture.

    Returns:
      Variables of `jax.ShapeDtypeStruct`.
    """
    model, classes, width, channels = architecture
    options: dict[str, Any] = {"width": width} if "width" in inspect.signature(models.MODELS[model]).parameters else {}
    module = models.build(model, classes=classes, **options)
    image = (_ANY_SIZE, _ANY_SIZE, channels)
    return jax.eval_shape(lambda key: models.initialize(module, key, image), jax.random.key(0))


def dataset_of(state: Mapping[str, np.ndarray]) -> str | None:
    """Returns the data set whose normalization constants a state dict contains.

    Args:
      state: Arrays by name, with or without `normalize.mean` and `normalize.std`.

    Returns:
      A name of `lpjax.data.PUBLISHED`, or None if there are no constants.

    Raises:
      ValueError: If the constants are those of no known data set.

    Example:
      >>> dataset_of({'normalize.mean': np.array([0.5071, 0.4866, 0.4409]), 'normalize.std': np.ones(3) / 4})
      Traceback (most recent call last):
      ValueError: normalize: got mean 0.5071 0.4866 0.4409, std 0.25 0.25 0.25, known: cifar10, cifar100, imagenet2012
    """
    plain = {name.removeprefix("module."): np.ravel(array) for name, array in state.items()}
    if not any(name in plain for name in _CONSTANTS):
        return None
    mean, std = (plain.get(name, np.zeros(0)) for name in _CONSTANTS)
    for name, published in data.PUBLISHED.items():
        if mean.shape == std.shape == (3,) and np.allclose((mean, std), published, rtol=0, atol=1e-6):
            return name
    raise ValueError(f"normalize: got mean {_joined(mean)}, std {_joined(std)}, known: {', '.join(data.PUBLISHED)}")


def _joined(values: np.ndarray) -> str:
    return " ".join(f"{value:.4g}" for value in values)


def _shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    variables = template(architecture)
    leaves = zip(jax.tree.leaves(torch_keys(variables)), jax.tree.leaves(variables), strict=True)
    return {name: torch_shape(leaf.shape) for name, leaf in leaves}


def _difference(got: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]) -> str:
    for name, shape in wanted.items():
        if name not in got:
            return f"{name!r} is missing"
        if got[name] != shape:
            return f"{name!r} has shape {got[name]} instead of {shape}"
    return f"{min(set(got) - set(wanted))!r} is unknown to it"
