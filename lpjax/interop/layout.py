"""Names and axes: arrays as PyTorch's `state_dict` has them, both ways. PyTorch itself is not needed."""

from collections.abc import Iterable
from typing import Any

import jax
import numpy as np

from lpjax.choices import one_of
from lpjax.interop.masks import Arrays, split_masks
from lpjax.sparsity import Prunable, convolution_kernels, full_mask, leaf_name
from lpjax.types import Ticket, Variables

_LEAF = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
_TORCH_AXES = {4: (3, 2, 0, 1), 2: (1, 0)}
_OUR_AXES = {4: (2, 3, 1, 0), 2: (1, 0)}
_MODULES = {
    **dict.fromkeys(("features", "conv", "bn"), 1),
    **dict.fromkeys(("downsample", "shortcut", "convShortcut"), 2),
    **dict.fromkeys(("layer", "block"), 3),
    **dict.fromkeys(("fc", "classifier"), 4),
}
_PARAMETERS = ("weight", "bias", "weight_orig", "bias_orig")
_BUFFERS = ("weight_mask", "bias_mask", "running_mean", "running_var", "num_batches_tracked")
FORMS = ("pruned", "plain")


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
        return ".".join([module.replace("_", ".") for module in modules] + [_LEAF[leaf]])

    return Variables(*(jax.tree_util.tree_map_with_path(key, tree) for tree in variables))


def from_state_dict(variables: Variables, state: Arrays) -> Variables:
    """Fills a network with the arrays of a state dict.

    Convolutions turn from OIHW to HWIO, linear layers are transposed. Prefixes `module.` and `model.` are stripped;
    normalization constants and batch counters are ignored; pruned weights are multiplied by their masks.

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
    arrays, _ = split_masks(state)
    keys = torch_keys(variables)

    def take(key: str, template: Any) -> np.ndarray:
        if key not in arrays:
            raise ValueError(f"the state dict lacks {key!r}: it belongs to another architecture")
        wanted = torch_shape(template.shape)
        if arrays[key].shape != wanted:
            raise ValueError(
                f"{key!r} has shape {arrays[key].shape}, wanted {wanted}: it belongs to another architecture"
            )
        return _ours(arrays[key]).astype(template.dtype)

    filled = jax.tree.map(take, keys, variables)
    if unused := sorted(set(arrays) - set(jax.tree.leaves(keys))):
        raise ValueError(f"the state dict holds {unused[0]!r}, which the network lacks: another architecture")
    return filled


def ticket_from_state_dict(variables: Variables, state: Arrays, *, prunable: Prunable = convolution_kernels) -> Ticket:
    """Fills a ticket with the arrays of a state dict: the inverse of `to_state_dict`.

    Args:
      variables: A network of the same architecture, or its shapes.
      state: As for `from_state_dict`; parameters with an `X_mask` are the prunable ones.
      prunable: Which parameters may be pruned where the state dict has no masks: a dense network.

    Returns:
      The ticket, in numpy arrays.

    Raises:
      ValueError: If the state dict belongs to another architecture.

    Example:
      >>> linear = Variables({'fc': {'kernel': np.zeros((2, 1), np.float32)}}, {})
      >>> state = {'fc.weight_orig': np.array([[3.0, 5.0]]), 'fc.weight_mask': np.array([[0.0, 1.0]])}
      >>> ticket_from_state_dict(linear, state).mask['fc']['kernel'].tolist()
      [[False], [True]]
    """
    _, masks = split_masks(state)
    filled = from_state_dict(variables, state)
    if not masks:
        return Ticket(filled, jax.tree.map(np.asarray, full_mask(variables.params, prunable)))
    keys = torch_keys(variables).params
    return Ticket(filled, jax.tree.map(lambda key: _ours(masks[key]) if key in masks else np.ones((), bool), keys))


def to_state_dict(
    ticket: Ticket, *, form: str = "pruned", normalize: tuple[tuple[float, ...], tuple[float, ...]] | None = None
) -> dict[str, np.ndarray]:
    """Writes a ticket as a state dict.

    Args:
      ticket: Of a network in `lpjax.models`.
      form: `'pruned'` has `X_orig` and `X_mask` for what may be pruned, as `torch.nn.utils.prune` leaves a network;
        `'plain'` has the weights alone. A dense ticket is plain in both.
      normalize: Mean and standard deviation a channel, for networks that normalize by themselves; None for others.

    Returns:
      Arrays by name, in PyTorch's layout and order; a wide ResNet's convolutions come before its BatchNorm.

    Raises:
      ValueError: If the form is unknown.

    Example:
      >>> weights = Variables({'fc': {'kernel': np.ones((3, 2), np.float32)}}, {})
      >>> state = to_state_dict(Ticket(weights, {'fc': {'kernel': np.arange(6).reshape(3, 2) > 2}}))
      >>> {name: array.shape for name, array in state.items()}
      {'fc.weight_orig': (2, 3), 'fc.weight_mask': (2, 3)}
    """
    one_of("form", form, FORMS)
    names, mask_names = torch_keys(ticket.variables), torch_keys(ticket.variables).params
    arrays = {name: _theirs(leaf) for name, leaf in _pairs(names, ticket.variables)}
    masks = {name: _theirs(leaf) for name, leaf in _pairs(mask_names, ticket.mask) if np.ndim(leaf)}
    if form == "pruned" and not all(mask.all() for mask in masks.values()):
        for name, mask in masks.items():
            arrays[f"{name}_orig"] = arrays.pop(name)
            arrays[f"{name}_mask"] = mask.astype(np.float32)
    for name in [name for name in arrays if name.endswith(".running_var")]:
        arrays[name.replace("running_var", "num_batches_tracked")] = np.zeros((), np.int64)
    ordered = {name: arrays[name] for name in sorted(arrays, key=_place)}
    if normalize is None:
        return ordered
    mean, std = (np.asarray(values, np.float32) for values in normalize)
    constants = {"normalize.mean": mean, "normalize.std": std}
    return ordered | constants if "features.0.bias" in ordered else constants | ordered  # VGG registers them last


def torch_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Turns the shape of a parameter into PyTorch's: HWIO to OIHW, in-out to out-in."""
    return tuple(shape[axis] for axis in _TORCH_AXES.get(len(shape), range(len(shape))))


def _theirs(array: Any) -> np.ndarray:
    host = np.asarray(array)
    return np.ascontiguousarray(host.transpose(_TORCH_AXES[host.ndim])) if host.ndim in _TORCH_AXES else host


def _ours(array: np.ndarray) -> np.ndarray:
    return array.transpose(_OUR_AXES.get(array.ndim, range(array.ndim)))


def _pairs(names: Any, tree: Any) -> Iterable[tuple[str, Any]]:
    return zip(jax.tree.leaves(names), jax.tree.leaves(tree), strict=True)


def _place(name: str) -> tuple[list[tuple[int, int, bool]], int]:
    """Sorts as modules register themselves and their entries: the stem first, shortcuts behind, the head last."""
    *modules, entry = name.split(".")
    return [_module_place(module) for module in modules], (*_PARAMETERS, *_BUFFERS).index(entry)


def _module_place(module: str) -> tuple[int, int, bool]:
    kind = module.rstrip("0123456789")
    return _MODULES.get(kind, 0), int(module.removeprefix(kind) or 0), kind == "bn"
