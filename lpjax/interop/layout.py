"""Convert between variables and PyTorch state dicts: names and axes. PyTorch is not required."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from lpjax.choices import one_of
from lpjax.errors import UserError
from lpjax.interop.masks import Arrays, split_masks, with_names
from lpjax.sparsity import Prunable, as_tree, convolution_kernels, leaf_name, prunable_leaves
from lpjax.types import Ticket, Variables

_LEAF = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
_TORCH_AXES = {4: (3, 2, 0, 1), 2: (1, 0)}
_OUR_AXES = {4: (2, 3, 1, 0), 2: (1, 0)}
_MODULES = {
    **dict.fromkeys(("features", "conv", "bn"), 1),
    **dict.fromkeys(("downsample", "shortcut", "convShortcut"), 2),
    **dict.fromkeys(("layer", "block", "blocks"), 3),
    **dict.fromkeys(("fc", "classifier"), 4),
}
_PARAMETERS = ("weight", "bias", "weight_orig", "bias_orig")
_BUFFERS = ("weight_mask", "bias_mask", "running_mean", "running_var", "num_batches_tracked")
FORMS = ("pruned", "plain")


def torch_keys(variables: Variables) -> Variables:
    """Return the state-dict name of every array, e.g. `layer1.0.conv1.weight` for `layer1_0/conv1/kernel`.

    Args:
      variables: Variables of a network of `lpjax.models`.

    Returns:
      A tree of the same structure with a string per array.

    Example:
      >>> torch_keys(Variables({'layer1_0': {'bn1': {'scale': np.ones(4)}}}, {})).params
      {'layer1_0': {'bn1': {'scale': 'layer1.0.bn1.weight'}}}
    """

    def key(path: Any, _: Any) -> str:
        *modules, leaf = leaf_name(path).split("/")
        entry = _LEAF[one_of("parameter", leaf, _LEAF, "; or convert the arrays of your own network yourself")]
        return ".".join([module.replace("_", ".") for module in modules] + [entry])

    return Variables(*(jax.tree_util.tree_map_with_path(key, tree) for tree in variables))


def from_state_dict(variables: Variables, state: Arrays) -> Variables:
    """Convert a state dict to variables.

    Convolutions are transposed from OIHW to HWIO, and linear layers from out-in to in-out. Names are read as by
    `split_masks`; a classifier may be called `fc`, `linear` or `classifier`, a shortcut `downsample` or `shortcut`.

    Args:
      variables: Variables of the same architecture, or their shapes.
      state: Arrays by name, in PyTorch's layout.

    Returns:
      Variables of the structure and dtypes of `variables`, as numpy arrays; weights are zero outside their masks.

    Raises:
      UserError: If a key is missing or unknown, or a shape differs.

    Example:
      >>> linear = Variables({'fc': {'kernel': np.zeros((3, 2), np.float32)}}, {})
      >>> from_state_dict(linear, {'module.fc.weight': np.ones((2, 3))}).params['fc']['kernel'].shape
      (3, 2)

    References:
      The layout of `torch.nn.Module.state_dict`.
    """
    return ticket_from_state_dict(variables, state).params


def ticket_from_state_dict(variables: Variables, state: Arrays) -> Ticket:
    """Convert a state dict to a ticket; the inverse of `to_state_dict`.

    Args:
      variables: Variables of the same architecture, or their shapes.
      state: As for `from_state_dict`; parameters without a mask are kept whole.

    Returns:
      The ticket, as numpy arrays: `Variables`, and a mask of their form.

    Raises:
      UserError: If the state dict belongs to another architecture.

    Example:
      >>> linear = Variables({'fc': {'kernel': np.zeros((2, 1), np.float32)}}, {})
      >>> state = {'fc.weight_orig': np.array([[3.0, 5.0]]), 'fc.weight_mask': np.array([[0.0, 1.0]])}
      >>> ticket_from_state_dict(linear, state).mask.params['fc']['kernel'].tolist()
      [[False], [True]]
    """
    return to_ticket(variables, *split_masks(state))


def to_ticket(variables: Variables, weights: Arrays, masks: Arrays) -> Ticket:
    """Convert what `split_masks` returns to a ticket."""
    keys = torch_keys(variables)
    names = jax.tree.leaves(keys)
    weights = with_names(weights, names)
    masks = with_names(masks, names)
    another = "the state dict belongs to another architecture; name the right one"

    def weight_of(key: str, template: Any) -> np.ndarray:
        if key not in weights:
            raise UserError(f"{key!r} is missing; {another}")
        wanted = torch_shape(template.shape)
        if weights[key].shape != wanted:
            raise UserError(f"{key!r}: got shape {weights[key].shape}, expected {wanted}; {another}")
        return _from_torch(weights[key]).astype(template.dtype)

    def mask_of(key: str, leaf: np.ndarray) -> np.ndarray:
        return _from_torch(masks[key]) if key in masks else np.ones(leaf.shape, bool)

    params = jax.tree.map(weight_of, keys, variables)
    unknown = sorted(set(weights) - set(names))
    if unknown:
        raise UserError(f"{unknown[0]!r} is unknown to the network; {another}")
    return Ticket(params, jax.tree.map(mask_of, keys, params))


def to_state_dict(
    ticket: Ticket,
    *,
    form: str = "pruned",
    normalize: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
    prunable: Prunable = convolution_kernels,
) -> dict[str, np.ndarray]:
    """Convert a ticket to a state dict.

    Args:
      ticket: A ticket of a network of `lpjax.models`: `Variables`, and a mask of their form.
      form: `'pruned'` has `X_orig` and `X_mask` for every prunable parameter, like `torch.nn.utils.prune`, but with
        bool masks, which load as well and take one byte per weight instead of four; `'plain'` has only the weights.
        A dense ticket is always plain.
      normalize: Mean and standard deviation per channel, for networks that include normalization; None for others.
      prunable: The prunable parameters. A parameter that has pruned weights gets an `X_mask` in any case.

    Returns:
      Arrays by name, in PyTorch's layout and order; the convolutions of a wide ResNet precede its BatchNorm.

    Raises:
      UserError: If the form is unknown.

    Example:
      >>> weights = Variables({'fc': {'kernel': np.ones((3, 2), np.float32)}}, {})
      >>> mask = Variables({'fc': {'kernel': np.arange(6).reshape(3, 2) > 2}}, {})
      >>> state = to_state_dict(Ticket(weights, mask), prunable=lambda path, leaf: path.endswith('kernel'))
      >>> {name: array.shape for name, array in state.items()}
      {'fc.weight_orig': (2, 3), 'fc.weight_mask': (2, 3)}
    """
    one_of("form", form, FORMS)
    names = torch_keys(ticket.params)
    flags = as_tree(prunable_leaves(ticket.params, prunable), names)
    arrays = {}
    masks = {}
    trees = (names, ticket.params, ticket.mask, flags)
    for name, leaf, mask, flag in zip(*map(jax.tree.leaves, trees), strict=True):
        arrays[name] = _to_torch(leaf)
        if flag or not np.all(mask):
            masks[name] = _to_torch(mask).astype(bool)
        if name.endswith(".running_var"):
            arrays[name.replace("running_var", "num_batches_tracked")] = np.zeros((), np.int64)
    if form == "pruned":
        _add_masks(arrays, masks)
    ordered = {name: arrays[name] for name in sorted(arrays, key=_order)}
    return ordered if normalize is None else _with_constants(ordered, *normalize)


def torch_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the PyTorch shape of a parameter: HWIO to OIHW, in-out to out-in."""
    return tuple(shape[axis] for axis in _TORCH_AXES.get(len(shape), range(len(shape))))


def _add_masks(arrays: dict[str, np.ndarray], masks: Arrays) -> None:
    """Store weights as `X_orig` with `X_mask`; those of a dense network are left as they are."""
    if all(mask.all() for mask in masks.values()):
        return
    for name, mask in masks.items():
        arrays[f"{name}_orig"] = arrays.pop(name)
        arrays[f"{name}_mask"] = mask


def _with_constants(state: dict[str, np.ndarray], mean: Sequence[float], std: Sequence[float]) -> dict[str, np.ndarray]:
    """Add the constants of a normalization where PyTorch registers them: VGG last, other networks first."""
    constants = {"normalize.mean": np.asarray(mean, np.float32), "normalize.std": np.asarray(std, np.float32)}
    return state | constants if "features.0.bias" in state else constants | state


def _to_torch(array: Any) -> np.ndarray:
    host = np.asarray(array)
    if host.ndim not in _TORCH_AXES:
        return host
    return np.ascontiguousarray(host.transpose(_TORCH_AXES[host.ndim]))


def _from_torch(array: np.ndarray) -> np.ndarray:
    return array.transpose(_OUR_AXES.get(array.ndim, range(array.ndim)))


def _order(name: str) -> tuple[list[tuple[int, int, bool]], int]:
    """Return a sort key for the order in which PyTorch registers modules and their entries."""
    *modules, entry = name.split(".")
    return [_module_order(module) for module in modules], (*_PARAMETERS, *_BUFFERS).index(entry)


def _module_order(module: str) -> tuple[int, int, bool]:
    kind = module.rstrip("0123456789")
    return _MODULES.get(kind, 0), int(module.removeprefix(kind) or 0), kind == "bn"
