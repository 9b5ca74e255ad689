"""Masks: which weights are kept, counted exactly.

A mask mirrors the parameters leaf by leaf, in structure, shape and sharding. It is `True` everywhere in leaves that
are never pruned, so `jax.tree.map(jnp.multiply, params, mask)`, `vmap`, sharding and donation need no special case.
Which leaves count is said by `prunable` (see `lpjax.sparsity.prunable`). Functions that take a mask also accept a
scalar `True` in place of a leaf that is never pruned.
"""

import math
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lpjax.sparsity.names import leaf_name, same_structure
from lpjax.sparsity.prunable import Prunable, Stacked, as_tree, kernels, prunable_leaves, stacked_axes

PyTree = Any
_INT32 = 2**31


def full_mask(params: PyTree) -> PyTree:
    """Build the mask of the dense network.

    Args:
      params: Parameters, or their shapes (`jax.ShapeDtypeStruct`).

    Returns:
      A bool tree of the same structure, shapes and sharding, all `True`.

    Example:
      >>> mask = full_mask({'kernel': jnp.zeros((3, 3, 1, 4)), 'bias': jnp.zeros(4)})
      >>> mask['kernel'].shape, mask['bias'].shape
      ((3, 3, 1, 4), (4,))
    """
    return jax.tree.map(lambda leaf: jnp.ones_like(leaf, dtype=bool), params)


def apply_mask(params: PyTree, mask: PyTree) -> PyTree:
    """Zero the weights outside a mask: `where(mask, params, 0)`.

    Args:
      params: Parameters, or any tree of their structure (gradients, updates).
      mask: A bool tree.

    Returns:
      The masked tree, dtypes unchanged.

    Raises:
      ValueError: If the mask does not fit, naming the first leaf that differs.

    Example:
      >>> apply_mask({'w': jnp.array([1.0, 2.0])}, {'w': jnp.array([True, False])})['w'].tolist()
      [1.0, 0.0]
    """
    fitted = fit_mask(mask, params)
    return jax.tree.map(lambda p, m: jnp.where(m, p, jnp.zeros((), p.dtype)), params, fitted)


def expand_mask(mask: PyTree, params: PyTree) -> PyTree:
    """Copy a mask, with every leaf in the shape and sharding of its parameter.

    Args:
      mask: A bool tree; a leaf may be a scalar `True`.
      params: Parameters.

    Returns:
      A mask in buffers of its own, so that donating it leaves the caller's mask alone.

    Raises:
      TypeError: If a leaf of the mask is not bool.
      ValueError: If the mask does not fit the parameters.
    """

    def leaf(p: Any, m: Any) -> jax.Array:
        copied = jnp.array(m, dtype=bool, copy=True)
        if not copied.shape:
            copied = jnp.logical_and(copied, jnp.ones_like(p, dtype=bool))
        return like_parameter(copied, p)

    return jax.tree.map(leaf, params, fit_mask(mask, params))


def fit_mask(mask: PyTree, params: PyTree) -> PyTree:
    """Put a mask into the containers of its parameters, which may differ in kind but not in names and shapes.

    The mask of `flax.nnx.Optimizer.opt_state`, say, holds optimizer variables where the parameters are `nnx.Param`. A
    scalar may also stand for a whole subtree that is never pruned.

    Args:
      mask: A bool tree; a leaf may be a scalar.
      params: Parameters.

    Returns:
      The mask, in the structure of the parameters.

    Raises:
      TypeError: If a leaf of the mask is not bool.
      ValueError: If names or shapes differ, naming the first leaf that does.
    """
    ensure_fits(mask, params)
    if same_structure(mask, params):
        return mask
    leaves = {leaf_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(mask)}
    names = [leaf_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    return as_tree([leaves[_covering(leaves, name)] for name in names], params)


def with_scalars(mask: PyTree, prunable: Prunable = kernels) -> PyTree:
    """Put a scalar `True` in place of every leaf that is not prunable, so that nothing masks it in compiled programs.

    Args:
      mask: A bool tree, all `True` in leaves that are not prunable.
      prunable: Which leaves stay arrays.

    Returns:
      A mask that means the same.
    """
    pairs = zip(jax.tree.leaves(mask), prunable_leaves(mask, prunable), strict=True)
    return as_tree([leaf if counted else np.True_ for leaf, counted in pairs], mask)


def like_parameter(leaf: jax.Array, param: Any) -> jax.Array:
    """Give an array the sharding of a parameter, where the parameter is a concrete array that is split over devices.

    Args:
      leaf: An array of the parameter's shape.
      param: The parameter.

    Returns:
      The array.
    """
    concrete = isinstance(param, jax.Array) and not isinstance(param, jax.core.Tracer)
    if concrete and not isinstance(leaf, jax.core.Tracer) and isinstance(param.sharding, jax.sharding.NamedSharding):
        return jax.device_put(leaf, param.sharding)
    return leaf


def ensure_fits(mask: PyTree, params: PyTree) -> None:
    """Refuse a mask that does not belong to these parameters.

    Args:
      mask: A bool tree; a leaf may be a scalar.
      params: Parameters.

    Raises:
      TypeError: If a leaf of the mask is not bool.
      ValueError: If structures or shapes differ, naming the first leaf that does.
    """
    if isinstance(mask, tuple) and getattr(mask, "_fields", ()) == ("params", "mask"):
        raise TypeError("mask: got a Ticket, expected a mask; pass ticket.mask")
    given = {leaf_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(mask)}
    wanted = {leaf_name(path): jnp.shape(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(params)}
    for name, leaf in given.items():
        _ensure_bool(name, leaf)
    used = set()
    for name, shape in wanted.items():
        found = _covering(given, name)
        if found not in given:
            raise ValueError(f"mask: leaf {name!r} is missing, expected shape {shape}; make one with full_mask(params)")
        if jnp.shape(given[found]) not in ((), shape):
            raise ValueError(f"mask: leaf {name!r} has shape {jnp.shape(given[found])}, expected {shape}")
        used.add(found)
    for name in given:
        if name not in used:
            raise ValueError(f"mask: got a leaf {name!r} that the parameters do not have")


def _covering(mask: dict[str, Any], name: str) -> str:
    """Find the leaf of a mask for a parameter: its own, or a scalar that stands for a subtree that holds it."""
    path = name
    while path and path not in mask:
        path = path.rpartition("/")[0]
    is_scalar = path in mask and not jnp.shape(mask[path])
    return path if is_scalar else name


def kept_per_leaf(mask: PyTree, prunable: Prunable = kernels, stacked: Stacked = None) -> PyTree:
    """Count the kept weights of every leaf.

    Args:
      mask: A bool tree.
      prunable: Which leaves count.
      stacked: How many leading axes of a leaf index layers, which are counted one by one.

    Returns:
      A tree of int32 scalars, or arrays `[layers]` for stacked leaves; 0 where a leaf is not prunable.

    Raises:
      TypeError: If a leaf is not bool: parameters, say, or an optimizer's state.
      ValueError: If a leaf has 2**31 weights or more, or none is prunable.

    Example:
      >>> counts = kept_per_leaf({'w': jnp.eye(2, dtype=bool), 'bias': jnp.ones(2, bool)})
      >>> jax.tree.map(int, counts)
      {'bias': 0, 'w': 2}
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(mask):
        _ensure_bool(leaf_name(path), leaf)
    counts = []
    flags = zip(prunable_leaves(mask, prunable), stacked_axes(mask, stacked), jax.tree.leaves(mask), strict=True)
    for counted, axes, leaf in flags:
        if counted:
            if math.prod(np.shape(leaf)) >= _INT32:
                raise ValueError("mask: a prunable leaf has 2**31 weights or more, which int32 cannot count")
            counts.append(jnp.sum(leaf, axis=tuple(range(axes, jnp.ndim(leaf))), dtype=jnp.int32))
        else:
            counts.append(jnp.zeros((), jnp.int32))
    return as_tree(counts, mask)


def kept(mask: PyTree, prunable: Prunable = kernels) -> jax.Array:
    """Count the prunable weights that are kept.

    Args:
      mask: A bool tree.
      prunable: Which leaves count.

    Returns:
      An exact int32 scalar.

    Raises:
      TypeError: If a leaf is not bool.
      ValueError: If there are 2**31 prunable weights or more (`density` counts those too), or none.

    Example:
      >>> int(kept({'w': jnp.eye(2, dtype=bool), 'bias': jnp.ones(2, bool)}))
      2
    """
    if total(mask, prunable) >= _INT32:
        raise ValueError("mask: 2**31 prunable weights or more, which int32 cannot count; use density or kept_per_leaf")
    return jnp.asarray(sum(jax.tree.leaves(kept_per_leaf(mask, prunable))), jnp.int32)


def total(mask: PyTree, prunable: Prunable = kernels) -> int:
    """Count the prunable weights, kept or not.

    Args:
      mask: A bool tree, or parameters: only shapes matter.
      prunable: Which leaves count.

    Returns:
      A Python integer: shapes are static.

    Raises:
      ValueError: If no leaf is prunable.

    Example:
      >>> total({'w': jnp.eye(2, dtype=bool), 'bias': jnp.ones(2, bool)})
      4
    """
    chosen = prunable_leaves(mask, prunable)
    leaves = zip(jax.tree.leaves(mask), chosen, strict=True)
    return sum(math.prod(np.shape(leaf)) for leaf, counted in leaves if counted)


def density(mask: PyTree, prunable: Prunable = kernels) -> float:
    """Divide `kept` by `total`; outside `jit`.

    Args:
      mask: A bool tree; of an optimizer's state, `get_mask(state)`.
      prunable: Which leaves count.

    Returns:
      A fraction in [0, 1].

    Raises:
      TypeError: If a leaf is not bool: parameters, say, or an optimizer's state.
      ValueError: If no leaf is prunable.

    Example:
      >>> density({'w': jnp.eye(2, dtype=bool), 'bias': jnp.ones(2, bool)})
      0.5
    """
    if not jax.tree.leaves(mask):
        raise ValueError("mask: got a tree without leaves")
    counts = jax.device_get(jax.tree.leaves(kept_per_leaf(mask, prunable)))
    return sum(int(count) for count in counts) / total(mask, prunable)


def density_per_leaf(mask: PyTree, prunable: Prunable = kernels) -> dict[str, float]:
    """List the density of every prunable leaf; outside `jit`.

    Args:
      mask: A bool tree.
      prunable: Which leaves are listed.

    Returns:
      `{path: fraction in [0, 1]}` in tree order.

    Raises:
      TypeError: If a leaf is not bool.
      ValueError: If no leaf is prunable.

    Example:
      >>> density_per_leaf({'w': jnp.eye(2, dtype=bool), 'bias': jnp.ones(2, bool)})
      {'w': 0.5}
    """
    counts = jax.device_get(jax.tree.leaves(kept_per_leaf(mask, prunable)))
    paths = jax.tree_util.tree_leaves_with_path(mask)
    densities = {}
    for (path, leaf), counted, count in zip(paths, prunable_leaves(mask, prunable), counts, strict=True):
        if counted:
            densities[leaf_name(path)] = int(count) / int(jnp.size(leaf))
    return densities


def assert_on_mask(params: PyTree, mask: PyTree) -> None:
    """Check that parameters are zero outside a mask; outside `jit`.

    A transform that follows a sparse one in a chain, or a wrapper that averages parameters (`optax.lookahead`,
    `optax.contrib.schedule_free`), can move weights off the mask while the density reported stays the same.

    Args:
      params: Parameters.
      mask: A bool tree, such as `get_mask(state)`.

    Raises:
      TypeError: If a leaf of the mask is not bool.
      ValueError: If weights outside the mask are not zero, naming leaves and counts, or the mask does not fit.

    Example:
      >>> assert_on_mask({'w': jnp.array([1.0, 2.0])}, {'w': jnp.array([True, False])})
      Traceback (most recent call last):
      ValueError: params: 1 weight off the mask is not zero (w: 1); nothing may move weights after a sparse transform
    """
    fitted = _as_arrays(fit_mask(mask, params))
    off = jax.tree.map(lambda p, m: jnp.sum(jnp.logical_and(~m, p != 0), dtype=jnp.int32), params, fitted)
    counts = {leaf_name(path): int(n) for path, n in jax.tree_util.tree_leaves_with_path(jax.device_get(off))}
    wrong = {name: count for name, count in counts.items() if count}
    if wrong:
        number = sum(wrong.values())
        words = "weight off the mask is" if number == 1 else "weights off the mask are"
        leaves = ", ".join(f"{name}: {count}" for name, count in wrong.items())
        raise ValueError(
            f"params: {number} {words} not zero ({leaves}); nothing may move weights after a sparse transform"
        )


def warn_empty_leaves(mask: PyTree, prunable: Prunable = kernels, stacked: Stacked = None) -> None:
    """Warn of prunable leaves that have no weight left, in one message that names them; silent under `jit`.

    Args:
      mask: A bool tree.
      prunable: Which leaves are looked at.
      stacked: How many leading axes of a leaf index layers, which are looked at one by one.
    """
    leaves = jax.tree_util.tree_leaves_with_path(mask)
    if any(isinstance(leaf, jax.core.Tracer) for _, leaf in leaves):
        return
    counts = jax.device_get(jax.tree.leaves(kept_per_leaf(mask, prunable, stacked)))
    flags = prunable_leaves(mask, prunable)
    empty = [
        leaf_name(path)
        for (path, _), counted, count in zip(leaves, flags, counts, strict=True)
        if counted and not np.all(count)
    ]
    if empty:
        warnings.warn(
            f"pruning left no weight in {', '.join(empty)}; nothing passes through these layers. "
            "Set min_kept to keep some weights in every leaf",
            stacklevel=3,
        )


def _as_arrays(mask: PyTree) -> PyTree:
    return jax.tree.map(jnp.asarray, mask)


def _ensure_bool(name: str, leaf: Any) -> None:
    dtype = leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype
    if dtype != np.dtype(bool):
        raise TypeError(
            f"mask: leaf {name!r} has dtype {dtype}, expected bool; pass a mask, for example get_mask(optimizer_state)"
        )
