"""Weights and masks of a state dict."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

Arrays = Mapping[str, np.ndarray]
_IGNORED = re.compile(r"^normalize\.|num_batches_tracked$")
_PREFIX = re.compile(r"^(module\.|model\.)+")


def split_masks(state: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Splits a state dict into effective weights, `weight_orig * weight_mask`, and masks.

    Args:
      state: Arrays by name, with pruned weights as `X_orig` and `X_mask`; `X_orig` may be nonzero outside the mask.

    Returns:
      `(weights, masks)` by name. Prefixes `module.` and `model.` are stripped, normalization constants and batch
      counters are dropped, weights are zero outside their masks, and masks are bool.

    Raises:
      ValueError: If a mask is missing, has no weight, or contains values other than 0 and 1.

    Example:
      >>> weights, masks = split_masks({'fc.weight_orig': np.array([3.0, 5.0]), 'fc.weight_mask': np.array([0.0, 1.0])})
      >>> weights['fc.weight'].tolist(), masks['fc.weight'].tolist()
      ([0.0, 5.0], [False, True])

    References:
      The parametrization of `torch.nn.utils.prune`.
    """
    plain = {_PREFIX.sub("", name): np.asarray(array) for name, array in state.items()}
    kept = {name: array for name, array in plain.items() if not _IGNORED.search(name)}
    masks = {name.removesuffix("_mask"): array for name, array in kept.items() if name.endswith("_mask")}
    weights = {name.removesuffix("_orig"): array for name, array in kept.items() if not name.endswith("_mask")}
    for name in kept:
        if name.endswith("_orig") and name.removesuffix("_orig") not in masks:
            raise ValueError(
                f"{name.removesuffix('_orig') + '_mask'!r} is missing, but {name!r} is not; give the complete file"
            )
    return masked(weights, masks)


def masked(weights: Arrays, masks: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Sets weights to zero outside their masks.

    Args:
      weights: Arrays by name.
      masks: Arrays of zeros and ones of the same names and shapes; prefixes are stripped.

    Returns:
      `(weights, masks)`, with bool masks.

    Raises:
      ValueError: If a mask has no weight, another shape, or values other than 0 and 1.
    """
    checked = {}
    for prefixed, given in masks.items():
        name = _PREFIX.sub("", prefixed)
        mask = np.asarray(given)
        if name not in weights:
            raise ValueError(f"mask of {name!r}: there is no such weight")
        if weights[name].shape != mask.shape:
            raise ValueError(f"mask of {name!r}: got shape {mask.shape}, expected {weights[name].shape}")
        if not np.isin(mask, (0, 1)).all():
            raise ValueError(f"mask of {name!r}: got {mask[~np.isin(mask, (0, 1))][0]}, expected 0 or 1")
        checked[name] = mask.astype(bool)
    zeroed = {name: np.where(mask, weights[name], np.zeros((), weights[name].dtype)) for name, mask in checked.items()}
    return {**weights, **zeroed}, checked
