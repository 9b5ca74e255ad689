"""Levels of one origin turned into tickets of one architecture, which share what may be pruned."""

from typing import NamedTuple

import numpy as np

from lpjax.choices import one_of
from lpjax.interop.files import Contents
from lpjax.interop.layout import ticket_from_state_dict
from lpjax.interop.masks import masked, split_masks
from lpjax.interop.recognize import Architecture, dataset_of, recognize, template
from lpjax.types import Ticket

MASKS = ("stored", "nonzero")


class Origin(NamedTuple):
    """What all levels of one import have in common.

    Attributes:
      architecture: The network.
      dataset: Whose normalization is built into the network; None if none is.
      prunable: The weights that may be pruned, by plain names.
      total: How many numbers these weights hold.
    """

    architecture: Architecture
    dataset: str | None
    prunable: frozenset[str]
    total: int


def origin(last: Contents, model: str = "") -> Origin:
    """Learns from the last level what all have in common.

    Args:
      last: The sparsest level: it has masks if any has.
      model: The name that the architecture must have; by default any that fits.

    Returns:
      The architecture, the data set and what has a mask; without masks all convolutions are prunable.

    Raises:
      ValueError: If no architecture fits.
    """
    weights, masks = _split(last)
    convolutions = [name for name, array in weights.items() if array.ndim == 4]
    prunable = frozenset(masks or convolutions)
    total = sum(weights[name].size for name in prunable)
    return Origin(recognize(weights, model), dataset_of(last.state), prunable, total)


def convert(contents: Contents, wanted: Origin, mask: str = "stored") -> Ticket:
    """Turns one level into a ticket.

    Args:
      contents: What its files say.
      wanted: What all levels have in common.
      mask: `'stored'` takes masks from the files, and a network without any as dense; `'nonzero'` takes zeros as
        pruned where the files have no masks.

    Returns:
      The ticket, in numpy arrays.

    Raises:
      ValueError: If the level is of another origin, or its mask cannot be told.
    """
    one_of("--mask", mask, MASKS)
    weights, masks = _split(contents)
    if not masks:
        masks = {name: weights[name] != 0 for name in wanted.prunable & weights.keys()}
        zeros = sum(int(np.sum(~found)) for found in masks.values())
        if zeros and mask == "stored":
            raise ValueError(
                f"it lacks masks, yet {zeros:,} of its weights are zero; --mask=nonzero takes them as pruned"
            )
    network = template(wanted.architecture)
    ticket = ticket_from_state_dict(network, weights | {f"{name}_mask": found for name, found in masks.items()})
    if differing := sorted(masks.keys() ^ wanted.prunable):
        raise ValueError(f"{differing[0]!r} is prunable in some levels alone; import levels of one origin")
    if (dataset := dataset_of(contents.state)) != wanted.dataset:
        raise ValueError(f"it is a network for {dataset}, the last level for {wanted.dataset}; import them apart")
    return ticket


def _split(contents: Contents) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    weights, masks = split_masks(contents.state)
    return masked(weights, contents.masks) if contents.masks else (weights, masks)
