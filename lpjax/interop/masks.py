"""Weights and masks of a state dict, whatever their spelling."""

import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from lpjax.errors import UserError

Arrays = Mapping[str, np.ndarray]
_IGNORED = re.compile(r"^normalize\.|num_batches_tracked$")
_PREFIX = re.compile(r"^(module\.|model\.|_orig_mod\.)+")
_PARAMETRIZED = re.compile(r"parametrizations\.(\w+)\.(?:original|\d+\.(mask))$")
_MASK = re.compile(r"[._]mask$")
_SYNONYMS = {"linear": "fc", "classifier": "fc", "shortcut": "downsample"}


def split_masks(state: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Split a state dict into effective weights, `weight * mask`, and masks.

    Args:
      state: Arrays by name. The mask of `X` is spelled `X_mask` or `X.mask`, that of `M.weight` also `M.mask` or
        `M.parametrizations.weight.0.mask`; the weight itself is `X`, `X_orig` or `M.parametrizations.weight.original`,
        and may be nonzero outside its mask.

    Returns:
      `(weights, masks)` by name. Prefixes `module.`, `model.` and `_orig_mod.` are stripped, normalization constants
      and batch counters are dropped, weights are zero outside their masks, and masks are bool.

    Raises:
      UserError: If a mask is missing, has no weight, or contains values other than 0 and 1.

    Example:
      >>> weights, masks = split_masks({'fc.weight_orig': np.array([3.0, 5.0]), 'fc.weight_mask': np.array([0.0, 1.0])})
      >>> weights['fc.weight'].tolist(), masks['fc.weight'].tolist()
      ([0.0, 5.0], [False, True])

    References:
      The parametrizations of `torch.nn.utils.prune` and `torch.nn.utils.parametrize`.
    """
    weights = {}
    masks = {}
    pruned = []
    for given, array in state.items():
        name = plain_name(given)
        if _IGNORED.search(name):
            continue
        if _MASK.search(name):
            masks[name] = array
            continue
        if name.endswith("_orig"):
            name = name.removesuffix("_orig")
            pruned.append(name)
        weights[name] = np.asarray(array)
    weights, masks = _apply(weights, masks)
    for name in pruned:
        if name not in masks:
            raise UserError(f"{name + '_mask'!r} is missing, but {name + '_orig'!r} is not; give the complete file")
    return weights, masks


def with_names(entries: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Rename what PyTorch networks call differently: a classifier `linear` becomes `fc` where `fc` is missing."""
    missing = {}
    for name in names:
        if name not in entries:
            missing[_canonical(name)] = name
    renamed = {}
    for name, entry in entries.items():
        renamed[name if name in names else missing.get(_canonical(name), name)] = entry
    return renamed


def plain_name(name: str) -> str:
    """Return `conv1.weight_orig` for `module._orig_mod.conv1.parametrizations.weight.original`."""
    stripped = _PREFIX.sub("", name).replace("._orig_mod.", ".")
    return _PARAMETRIZED.sub(lambda match: f"{match[1]}_{match[2] or 'orig'}", stripped)


def _apply(weights: Arrays, masks: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Set weights to zero outside their masks."""
    effective = dict(weights)
    checked = {}
    for given, values in masks.items():
        base = _MASK.sub("", given)
        name = base if base in weights else f"{base}.weight"
        mask = np.asarray(values)
        if name not in weights:
            raise UserError(f"mask of {base!r}: there is no such weight; give the file of its weights")
        weight = weights[name]
        if weight.shape != mask.shape:
            raise UserError(
                f"mask of {name!r}: got shape {mask.shape}, expected {weight.shape}; give that of these weights"
            )
        strange = mask[~np.isin(mask, (0, 1))]
        if strange.size:
            raise UserError(f"mask of {name!r}: got {strange[0]}, expected 0 or 1; give zeros and ones")
        checked[name] = mask.astype(bool)
        effective[name] = np.where(checked[name], weight, np.zeros((), weight.dtype))
    return effective, checked


def _canonical(name: str) -> str:
    return ".".join(_SYNONYMS.get(module, module) for module in name.split("."))
