"""Reading masks from the state of any optimizer that holds one."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from lpjax.sparsity import all_leaves, fit_mask, full_mask, warn_empty_leaves
from lpjax.transforms.dynamic_sparse import DynamicSparseState
from lpjax.transforms.fixed_mask import FixedMaskState

PyTree = Any


def get_mask(state: optax.OptState, params: PyTree | None = None) -> PyTree:
    """Read the mask of the whole network from an optimizer's state.

    The state may come from any composition: `optax.chain`, `optax.partition` with one sparse group or several,
    `optax.masked`, `optax.MultiSteps`, `optax.inject_hyperparams`, `flax.nnx.Optimizer.opt_state`. A leaf that two
    transforms mask is kept where both keep it.

    Args:
      state: The optimizer's state.
      params: Parameters, for the shapes of leaves that no sparse transform covers.

    Returns:
      A bool tree. A leaf that no sparse transform covers (a frozen group, say) is all `True`, in the parameter's
      shape if `params` are given, else a scalar, which every function here that takes a mask accepts.

    Raises:
      ValueError: If the state holds no mask.

    Example:
      >>> from lpjax.transforms import rigl
      >>> tx = optax.chain(optax.add_noise(0.01, 0.5, jax.random.key(0)), rigl(optax.adam(1e-3), 0.25, until=7500))
      >>> int(get_mask(tx.init({'w': jnp.ones((4, 5))}))['w'].sum())
      5
    """
    masks = [node["mask"] for node in _sparse_states(state)]
    if not masks:
        raise ValueError(
            "state: got an optimizer's state without a mask; wrap the optimizer in one of lpjax's transforms, or, if "
            "it was restored from a checkpoint, restore it into the structure of optimizer.init(params)"
        )
    merged = _merge(masks)
    if params is not None:
        merged = _filled(merged, params)
    if any(jnp.ndim(leaf) for leaf in jax.tree.leaves(merged)):
        warn_empty_leaves(merged, all_leaves)
    return jax.tree.map(jnp.copy, merged)  # donating the state leaves what was read from it alone


def get_explored(state: optax.OptState) -> PyTree:
    """Read which weights training has kept so far, now or earlier.

    Args:
      state: An optimizer's state; see `get_mask`.

    Returns:
      A tree like the mask.

    Raises:
      ValueError: If no transform whose mask changes is in it.

    Example:
      >>> from lpjax.transforms import rigl
      >>> state = rigl(optax.adam(1e-3), 0.25, until=7500).init({'w': jnp.ones((4, 5))})
      >>> int(get_explored(state)['w'].sum())
      5

    References:
      Liu et al., Do We Actually Need Dense Over-Parameterization?, ICML 2021: its share is the exploration rate R_s.
    """
    explored = []
    for node in _sparse_states(state):
        if "explored" in node:
            explored.append(jax.tree.map(jnp.logical_or, node["explored"], node["mask"]))
    if not explored:
        raise ValueError(
            "state: got an optimizer's state without a mask that changes; use rigl, say, or dynamic_sparse"
        )
    return _merge(explored)


def _sparse_states(state: optax.OptState) -> list[dict[str, Any]]:
    """List the fields of the sparse states in a state, also of those that a checkpoint restored as plain dicts."""

    def is_sparse(node: Any) -> bool:
        if isinstance(node, dict):
            return {"mask", "inner"} <= node.keys()
        return isinstance(node, FixedMaskState | DynamicSparseState)

    found = []
    for node in jax.tree.leaves(state, is_leaf=is_sparse):
        if is_sparse(node):
            fields = node if isinstance(node, dict) else node._asdict()
            found += [fields, *_sparse_states(fields["inner"])]
    return found


def _merge(masks: list[PyTree]) -> PyTree:
    """Combine the masks of several groups, each with `optax.MaskedNode` in place of the others' leaves or subtrees."""
    merged = masks[0]
    for mask in masks[1:]:
        merged = _merge_two(merged, mask)
    return jax.tree.map(lambda node: jnp.ones((), bool) if _is_hole(node) else node, merged, is_leaf=_is_hole)


def _merge_two(first: PyTree, second: PyTree) -> PyTree:
    if _is_hole(first):
        return second
    if _is_hole(second):
        return first
    flattened: tuple[list[Any], Any] = jax.tree.flatten(first, is_leaf=lambda node: node is not first)
    children, structure = flattened
    if jax.tree_util.treedef_is_leaf(structure):
        return jnp.logical_and(first, second)
    return structure.unflatten(map(_merge_two, children, structure.flatten_up_to(second)))


def _is_hole(node: Any) -> bool:
    return isinstance(node, optax.MaskedNode)


def _filled(mask: PyTree, params: PyTree) -> PyTree:
    """Give every leaf of a mask the shape of its parameter."""

    def leaf(full: Any, kept: Any) -> Any:
        return kept if jnp.shape(kept) == jnp.shape(full) else jnp.logical_and(full, kept)

    return jax.tree.map(leaf, full_mask(params), fit_mask(mask, params))
