"""Recognize the architecture of a state dict, from names and shapes."""

import functools
import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from lpjax import data, models
from lpjax.choices import one_of
from lpjax.errors import UserError
from lpjax.interop.layout import torch_keys, torch_shape
from lpjax.interop.masks import plain_name, with_names
from lpjax.types import Variables

_ANY_SIZE = 64
_STEMS = ("conv1.weight", "features.0.weight", "conv.weight")


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
    """Find the architecture that has exactly these parameters and statistics.

    Args:
      weights: Arrays by name, in PyTorch's layout, from `split_masks`; classifiers and shortcuts may be named as for
        `from_state_dict`.
      model: Required name; by default all of `lpjax.models.NAMES` are tried.

    Returns:
      The architecture.

    Raises:
      UserError: If none fits; the message names the nearest one and the first entry that differs.

    Example:
      >>> wanted = Architecture('resnet8', classes=10, width=4, channels=3)
      >>> names, leaves = jax.tree.leaves(torch_keys(template(wanted))), jax.tree.leaves(template(wanted))
      >>> recognize({name: np.zeros(torch_shape(leaf.shape)) for name, leaf in zip(names, leaves, strict=True)})
      Architecture(model='resnet8', classes=10, width=4, channels=3)
    """
    got = {name: np.shape(array) for name, array in weights.items()}
    width, channels = _stem(got)
    heads = [shape for shape in got.values() if len(shape) == 2]
    names = (one_of("model", model, models.NAMES),) if model else models.NAMES
    if width % 2 or not heads:
        raise UserError(
            "no architecture fits: expected a first convolution with an even number of channels, and a classifier; "
            f"give a network of {', '.join(names)}, or convert the arrays of your own yourself"
        )
    problems = {}
    for name in names:
        candidate = Architecture(name, heads[-1][0], width, channels)
        wanted = _shapes(candidate)
        renamed = with_names(got, wanted)
        if renamed == wanted:
            return candidate
        problems[candidate] = len(wanted.items() & renamed.items()), _difference(renamed, wanted)
    nearest = max(problems, key=lambda candidate: problems[candidate][0])
    raise UserError(
        f"no architecture fits; the nearest is {nearest.model}, but {problems[nearest][1]}; "
        "give a network of lpjax.models, or convert the arrays of your own yourself"
    )


@functools.cache
def template(architecture: Architecture) -> Variables:
    """Compute the shapes of the variables of an architecture."""
    model, classes, width, channels = architecture
    options: dict[str, Any] = {"width": width} if "width" in inspect.signature(models.MODELS[model]).parameters else {}
    module = models.build(model, classes=classes, **options)
    image = (_ANY_SIZE, _ANY_SIZE, channels)
    return jax.eval_shape(lambda key: models.initialize(module, key, image), jax.random.key(0))


def dataset_of(state: Mapping[str, np.ndarray]) -> str | None:
    """Return the data set whose normalization constants a state dict contains; None if there are no constants."""
    plain = {plain_name(name): np.ravel(array) for name, array in state.items()}
    if "normalize.mean" not in plain and "normalize.std" not in plain:
        return None
    mean = plain.get("normalize.mean", np.zeros(0))
    std = plain.get("normalize.std", np.zeros(0))
    for name, published in data.PUBLISHED.items():
        if mean.shape == std.shape == (3,) and np.allclose((mean, std), published, rtol=0, atol=1e-6):
            return name
    known = ", ".join(data.PUBLISHED)
    raise UserError(
        f"normalize: got mean {np.round(mean, 4)}, std {np.round(std, 4)}, expected those of {known}; "
        "remove these entries to import the rest"
    )


def _stem(got: Mapping[str, tuple[int, ...]]) -> tuple[int, int]:
    """Give the channels of the first convolution, output and input; an odd number if there is none."""
    first = [got[name] for name in _STEMS if name in got]
    for shape in (*first, *got.values()):
        if len(shape) == 4:
            return shape[0], shape[1]
    return 1, 1


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
