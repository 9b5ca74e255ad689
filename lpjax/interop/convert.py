"""Conversion of the levels of one import to tickets of one architecture with the same prunable weights."""

from typing import NamedTuple

import jax
import numpy as np

from lpjax.choices import one_of
from lpjax.interop.files import Contents
from lpjax.interop.layout import ticket_from_state_dict, torch_keys
from lpjax.interop.masks import masked, split_masks
from lpjax.interop.recognize import Architecture, dataset_of, recognize, template
from lpjax.types import Ticket, Variables

MASKS = ("stored", "nonzero")


class Origin(NamedTuple):
    """Properties shared by all levels of an import.

    Attributes:
      architecture: The network.
      dataset: The data set whose normalization the network includes, or None.
      prunable: Names of the prunable weights.
      total: Number of elements of these weights.
    """

    architecture: Architecture
    dataset: str | None
    prunable: frozenset[str]
    total: int


def origin(last: Contents, model: str = "") -> Origin:
    """Determines the shared properties from the last level.

    Args:
      last: The sparsest level, which has masks if any level has.
      model: Required name of the architecture; by default any that fits.

    Returns:
      The architecture, the data set and the weights with masks; without masks, all convolutions are prunable.

    Raises:
      ValueError: If no architecture fits.
    """
    weights, masks = _split(last)
    convolutions = [name for name, array in weights.items() if array.ndim == 4]
    prunable = frozenset(masks or convolutions)
    total = sum(weights[name].size for name in prunable)
    return Origin(recognize(weights, model), dataset_of(last.state), prunable, total)


def convert(contents: Contents, wanted: Origin, mask: str = "stored") -> Ticket:
    """Converts one level to a ticket.

    Args:
      contents: Contents of the level's files.
      wanted: Properties shared by all levels.
      mask: `'stored'` uses the masks of the files; a network without masks is dense. `'nonzero'` treats zeros as pruned
        if the files have no masks.

    Returns:
      The ticket, in numpy arrays.

    Raises:
      ValueError: If the level differs in these properties, or its mask is unknown.
    """
    one_of("--mask", mask, MASKS)
    weights, masks = _split(contents)
    if not masks:
        masks = {name: weights[name] != 0 for name in wanted.prunable & weights.keys()}
        zeros = sum(int(np.sum(~found)) for found in masks.values())
        if zeros and mask == "stored":
            raise ValueError(
                f"--mask: got no masks, but {zeros:,} weights are zero; give --mask=nonzero to treat them as pruned"
            )
    network = template(wanted.architecture)
    ticket = ticket_from_state_dict(network, weights | {f"{name}_mask": found for name, found in masks.items()})
    differing = sorted(masks.keys() ^ wanted.prunable)
    if differing:
        raise ValueError(f"{differing[0]!r} is not prunable in all levels; import levels of one experiment")
    dataset = dataset_of(contents.state)
    if dataset != wanted.dataset:
        raise ValueError(f"dataset: got {dataset}, expected that of the last level, {wanted.dataset}")
    return ticket


def prunable_tree(shared: Origin) -> Variables:
    """Marks the prunable weights of an import.

    Args:
      shared: Properties shared by all levels.

    Returns:
      A tree of bools of the form of the tickets' variables.
    """
    return jax.tree.map(lambda name: name in shared.prunable, torch_keys(template(shared.architecture)))


def _split(contents: Contents) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    weights, masks = split_masks(contents.state)
    if contents.masks:
        return masked(weights, contents.masks)
    return weights, masks
