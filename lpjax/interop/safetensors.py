"""Tickets as safetensors files: the plain tensors of a state dict, with the mask in the file's metadata.

Every tool reads the weights, which are zero where they are pruned, under PyTorch's own names, so that
`load_state_dict(safetensors.torch.load_file(path))` works. A mask is that of the nonzero weights, and the metadata name
what that leaves out: which tensors are prunable, and which kept weights are exactly zero.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

SUFFIX = ".safetensors"
_ENTRY = "lpjax"


def serialize(state: Mapping[str, np.ndarray], masks: Mapping[str, np.ndarray], provenance: Mapping[str, Any]) -> bytes:
    """Return the bytes of a file.

    Args:
      state: Arrays by name, zero where they are pruned.
      masks: The masks of the prunable ones, bool, by the same names.
      provenance: What else to write: JSON values by name.

    Returns:
      A file of safetensors.
    """
    from safetensors.numpy import save

    kept_zeros = {}
    for name, mask in masks.items():
        places = np.flatnonzero(mask & (state[name] == 0))
        if places.size:
            kept_zeros[name] = places.tolist()
    record = {"provenance": dict(provenance), "prunable": sorted(masks), "kept_zeros": kept_zeros}
    metadata = {"format": "pt", _ENTRY: json.dumps(record, separators=(",", ":"))}
    arrays = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in state.items()}
    return save(arrays, metadata)


def load(path: Path) -> dict[str, np.ndarray]:
    """Read a state dict; the mask of `X`, where the metadata have it, is the entry `X_mask`.

    Floats of 16 bits become float32, as networks are trained with.
    """
    from safetensors.numpy import load_file

    arrays = load_file(path)
    for name, array in arrays.items():
        if array.dtype.name in ("float16", "bfloat16"):
            arrays[name] = array.astype(np.float32)
    record = read_record(path)
    for name in record.get("prunable", ()):
        mask = arrays[name] != 0
        mask.ravel()[record["kept_zeros"].get(name, [])] = True
        arrays[f"{name}_mask"] = mask
    return arrays


def read_record(path: Path) -> dict[str, Any]:
    """Read what `serialize` wrote into the metadata: `provenance`, `prunable`, `kept_zeros`; nothing of other files."""
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:  # whoever reads the tensors says so
        return {}
    try:
        with safe_open(path, "np") as file:
            metadata = file.metadata() or {}
    except (OSError, SafetensorError):  # likewise
        return {}
    return json.loads(metadata.get(_ENTRY, "{}"))
