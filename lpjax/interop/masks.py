"""Weights and masks of a state dict, by plain names."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

Arrays = Mapping[str, np.ndarray]
_IGNORED = re.compile(r"^normalize\.|num_batches_tracked$")
_PREFIX = re.compile(r"^(module\.|model\.)+")


def split_masks(state: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Separates the effective weights of a state dict from their masks: `weight = weight_orig * weight_mask`.

    Args:
      state: Arrays by name; pruned weights as `X_orig` and `X_mask`, which need not be zero under the mask.

    Returns:
      `(weights, masks)` by plain names: prefixes `module.` and `model.` are stripped, normalization constants and
      batch counters left out; weights are zero under their masks, which are bool.

    Raises:
      ValueError: If a mask is missing, belongs to nothing, or holds anything but zeros and ones.

    Example:
      >>> weights, masks = split_masks({'fc.weight_orig': np.array([3.0, 5.0]), 'fc.weight_mask': np.array([0.0, 1.0])})
      >>> weights['fc.weight'].tolist(), masks['fc.weight'].tolist()
      ([0.0, 5.0], [False, True])

    References:
      The parametrisation of `torch.nn.utils.prune`.
    """
    plain = {_PREFIX.sub("", name): np.asarray(array) for name, array in state.items()}
    kept = {name: array for name, array in plain.items() if not _IGNORED.search(name)}
    masks = {name.removesuffix("_mask"): array for name, array in kept.items() if name.endswith("_mask")}
    weights = {name.removesuffix("_orig"): array for name, array in kept.items() if not name.endswith("_mask")}
    for name in kept:
        if name.endswith("_orig") and name.removesuffix("_orig") not in masks:
            raise ValueError(f"it holds {name!r} but no {name.removesuffix('_orig') + '_mask'!r}; give the whole file")
    return masked(weights, masks)


def masked(weights: Arrays, masks: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Zeroes weights under their masks.

    Args:
      weights: By name.
      masks: Zeros and ones by the same names, of the weights' shapes; prefixes are stripped.

    Returns:
      `(weights, masks)`, the masks as bool.

    Raises:
      ValueError: If a mask belongs to nothing, or holds anything but zeros and ones.
    """
    checked = {}
    for prefixed, given in masks.items():
        name, mask = _PREFIX.sub("", prefixed), np.asarray(given)
        if name not in weights:
            raise ValueError(f"the mask of {name!r} belongs to no weight")
        if weights[name].shape != mask.shape:
            raise ValueError(f"the mask of {name!r} has shape {mask.shape}, its weight {weights[name].shape}")
        if not np.isin(mask, (0, 1)).all():
            raise ValueError(f"the mask of {name!r} holds {mask[~np.isin(mask, (0, 1))][0]}, wanted zeros and ones")
        checked[name] = mask.astype(bool)
    zeroed = {name: np.where(mask, weights[name], np.zeros((), weights[name].dtype)) for name, mask in checked.items()}
    return {**weights, **zeroed}, checked
