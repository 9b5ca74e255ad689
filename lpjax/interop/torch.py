"""Arrays in PyTorch's layout: names, axes and BatchNorm as `state_dict` has them. PyTorch itself is not needed."""

import re
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from lpjax.sparsity import leaf_name
from lpjax.types import Variables

_LEAF = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
_TORCH_AXES = {4: (3, 2, 0, 1), 2: (1, 0)}
_IGNORED = re.compile(r"^normalize\.|num_batches_tracked$")
_PREFIX = re.compile(r"^(module\.|model\.)+")


def torch_keys(variables: Variables) -> Variables:
    """Names every array as a state dict would: `layer1_0/conv1/kernel` is `layer1.0.conv1.weight`.

    Args:
      variables: Of a network in `lpjax.models`.

    Returns:
      The same tree with a string for every array.

    Example:
      >>> torch_keys(Variables({'layer1_0': {'bn1': {'scale': np.ones(4)}}}, {})).params
      {'layer1_0': {'bn1': {'scale': 'layer1.0.bn1.weight'}}}
    """

    def key(path: Any, _: Any) -> str:
        *modules, leaf = leaf_name(path).split("/")
        return ".".join([re.sub(r"_(\d+)$", r".\1", module) for module in modules] + [_LEAF[leaf]])

    return Variables(*(jax.tree_util.tree_map_with_path(key, tree) for tree in variables))


def from_state_dict(variables: Variables, state: Mapping[str, np.ndarray]) -> Variables:
    """Fills a network with the arrays of a state dict.

    Convolutions turn from OIHW to HWIO, linear layers are transposed. Prefixes `module.` and `model.` are stripped;
    normalisation constants and batch counters are ignored.

    Args:
      variables: A network of the same architecture, or its shapes.
      state: Arrays by name, in PyTorch's layout.

    Returns:
      The network's variables, as numpy arrays of the template's dtypes.

    Raises:
      ValueError: If a key is missing, a key is left over, or a shape differs.

    Example:
      >>> linear = Variables({'fc': {'kernel': np.zeros((3, 2), np.float32)}}, {})
      >>> from_state_dict(linear, {'module.fc.weight': np.ones((2, 3))}).params['fc']['kernel'].shape
      (3, 2)

    References:
      The layout of `torch.nn.Module.state_dict`.
    """
    arrays = {_PREFIX.sub("", name): np.asarray(array) for name, array in state.items()}
    arrays = {name: array for name, array in arrays.items() if not _IGNORED.search(name)}
    keys = torch_keys(variables)

    def take(key: str, template: Any) -> np.ndarray:
        if key not in arrays:
            raise ValueError(f"the state dict lacks {key!r}: it belongs to another architecture")
        rank = len(template.shape)
        wanted = tuple(template.shape[axis] for axis in _TORCH_AXES.get(rank, range(rank)))
        if arrays[key].shape != wanted:
            raise ValueError(
                f"{key!r} has shape {arrays[key].shape}, wanted {wanted}: it belongs to another architecture"
            )
        return _transposed(arrays[key]).astype(template.dtype)

    filled = jax.tree.map(take, keys, variables)
    if unused := sorted(set(arrays) - set(jax.tree.leaves(keys))):
        raise ValueError(f"the state dict holds {unused[0]!r}, which the network lacks: another architecture")
    return filled


def _transposed(array: np.ndarray) -> np.ndarray:
    return array.transpose({4: (2, 3, 1, 0), 2: (1, 0)}.get(array.ndim, range(array.ndim)))
