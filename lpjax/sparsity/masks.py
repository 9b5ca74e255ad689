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

from lpjax.sparsity.names import dtype_of, leaf_names, leaves_by_name, same_structure
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
    return jax.tree.map(lambda p, m: jnp.where(m, p, jnp.zeros((), p.dtype)), params, fit_mask(mask, params))


def expand_mask(mask: PyTree, params: PyTree) -> PyTree:
    """Copy a mask, with every leaf in the shape and sharding of its parameter.

    The copy has buffers of its own, so that donating it leaves the caller's mask alone.
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
    """
    ensure_fits(mask, params)
    if same_structure(mask, params):
        return mask
    leaves = leaves_by_name(mask)
    return as_tree([leaves[_covering(leaves, name)] for name in leaf_names(params)], params)


def with_scalars(mask: PyTree, prunable: Prunable = kernels) -> PyTree:
    """Put a scalar `True` in place of leaves that are not prunable, so that nothing masks them in compiled programs."""
    leaves = []
    for leaf, counted in zip(jax.tree.leaves(mask), prunable_leaves(mask, prunable), strict=True):
        leaves.append(leaf if counted else np.True_)
    return as_tree(leaves, mask)


def like_parameter(leaf: jax.Array, param: Any) -> jax.Array:
    """Give an array the sharding of a parameter, where the parameter is a concrete array that is split over devices."""
    if isinstance(leaf, jax.core.Tracer) or isinstance(param, jax.core.Tracer):
        return leaf
    if isinstance(param, jax.Array) and isinstance(param.sharding, jax.sharding.NamedSharding):
        return jax.device_put(leaf, param.sharding)
    return leaf


def ensure_fits(mask: PyTree, params: PyTree) -> None:
    """Refuse a mask that is not bool, or whose names and shapes are not those of the parameters."""
    if isinstance(mask, tuple) and getattr(mask, "_fields", ()) == ("params", "mask"):
        raise TypeError("mask: got a Ticket, expected a mask; pass ticket.mask")
    given = leaves_by_name(mask)
    _ensure_bool(given)
    used = set()
    for name, param in leaves_by_name(params).items():
        shape = jnp.shape(param)
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
    if path in mask and not jnp.shape(mask[path]):
        return path
    return name


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
    _ensure_bool(leaves_by_name(mask))
    counts = []
    chosen = prunable_leaves(mask, prunable)
    for leaf, counted, axes in zip(jax.tree.leaves(mask), chosen, stacked_axes(mask, stacked), strict=True):
        if not counted:
            counts.append(jnp.zeros((), jnp.int32))
            continue
        if math.prod(np.shape(leaf)) >= _INT32:
            raise ValueError("mask: a prunable leaf has 2**31 weights or more, which int32 cannot count")
        counts.append(jnp.sum(leaf, axis=tuple(range(axes, jnp.ndim(leaf))), dtype=jnp.int32))
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
    number = 0
    for leaf, counted in zip(jax.tree.leaves(mask), prunable_leaves(mask, prunable), strict=True):
        if counted:
            number += math.prod(np.shape(leaf))
    return number


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
      Fractions in [0, 1] by path, in tree order.

    Raises:
      TypeError: If a leaf is not bool.
      ValueError: If no leaf is prunable.

    Example:
      >>> density_per_leaf({'w': jnp.eye(2, dtype=bool), 'bias': jnp.ones(2, bool)})
      {'w': 0.5}
    """
    counts = jax.device_get(jax.tree.leaves(kept_per_leaf(mask, prunable)))
    leaves = zip(leaf_names(mask), jax.tree.leaves(mask), prunable_leaves(mask, prunable), counts, strict=True)
    densities = {}
    for name, leaf, counted, count in leaves:
        if counted:
            densities[name] = int(count) / int(jnp.size(leaf))
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

    def off_mask(p: jax.Array, m: Any) -> jax.Array:
        return jnp.sum(jnp.logical_and(~jnp.asarray(m), p != 0), dtype=jnp.int32)

    counts = jax.device_get(jax.tree.map(off_mask, params, fit_mask(mask, params)))
    wrong = {name: int(count) for name, count in leaves_by_name(counts).items() if count}
    if wrong:
        number = sum(wrong.values())
        words = "weight off the mask is" if number == 1 else "weights off the mask are"
        leaves = ", ".join(f"{name}: {count}" for name, count in wrong.items())
        raise ValueError(
            f"params: {number} {words} not zero ({leaves}); nothing may move weights after a sparse transform"
        )


def warn_empty_leaves(mask: PyTree, prunable: Prunable = kernels, stacked: Stacked = None) -> None:
    """Warn of prunable leaves (or layers) without a weight, in one message that names them; silent under `jit`."""
    leaves = jax.tree.leaves(mask)
    if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
        return
    counts = jax.device_get(jax.tree.leaves(kept_per_leaf(mask, prunable, stacked)))
    empty = []
    for name, counted, count in zip(leaf_names(mask), prunable_leaves(mask, prunable), counts, strict=True):
        if counted and not np.all(count):
            empty.append(name)
    if empty:
        warnings.warn(
            f"pruning left no weight in {', '.join(empty)}; nothing passes through these layers. "
            "Set min_kept to keep some weights in every leaf",
            stacklevel=3,
        )


def summary(
    params: PyTree, mask: PyTree | None = None, *, prunable: Prunable = kernels, stacked: Stacked = None
) -> str:
    """List the leaves of a network, which of them are pruned, and how dense each is.

    Args:
      params: Parameters, or their shapes (`jax.eval_shape`): nothing need be computed to see what would be pruned.
      mask: A bool tree, to show what is kept.
      prunable: Which leaves are pruned.
      stacked: How many leading axes of a leaf index layers.

    Returns:
      A table: one line per leaf with its path, shape, whether it is pruned, and, with a mask, what is kept of it.

    Raises:
      ValueError: If no leaf is prunable, or the mask does not fit.

    Example:
      >>> print(summary({'dense': {'bias': np.zeros(3), 'kernel': np.zeros((4, 3))}}))
      leaf          shape   weights  pruned
      dense/bias    (3,)          3  no
      dense/kernel  (4, 3)       12  yes
      prunable: 12 of 15 weights in 1 of 2 leaves
    """
    leaves = jax.tree.leaves(params)
    chosen = prunable_leaves(params, prunable)
    sizes = [math.prod(np.shape(leaf)) for leaf in leaves]
    prunable_size = sum(size for size, counted in zip(sizes, chosen, strict=True) if counted)
    rows = [["leaf", "shape", "weights", "pruned"]]
    for name, leaf, size, counted, axes in zip(
        leaf_names(params), leaves, sizes, chosen, stacked_axes(params, stacked), strict=True
    ):
        shape = tuple(np.shape(leaf))
        rows.append([name, str(shape), f"{size:,}", _pruned(counted, shape[:axes])])
    last = [f"prunable: {prunable_size:,} of {sum(sizes):,} weights in {sum(chosen)} of {len(chosen)} leaves"]
    if mask is not None:
        counts = _int_counts(fit_mask(mask, params), chosen)
        rows[0] += ["kept", "density"]
        for row, size, counted, count in zip(rows[1:], sizes, chosen, counts, strict=True):
            row += [f"{count:,}", f"{count / size:.4f}"] if counted else ["", ""]
        last.append(f"kept: {sum(counts):,}, density {sum(counts) / prunable_size:.4f}")
    return "\n".join([*_aligned(rows), *last])


def _pruned(counted: bool, stack: tuple[int, ...]) -> str:
    if not counted:
        return "no"
    return f"yes, {math.prod(stack)} layers" if stack else "yes"


def _int_counts(mask: PyTree, chosen: list[bool]) -> list[int]:
    counts = jax.device_get(jax.tree.leaves(kept_per_leaf(mask, as_tree(chosen, mask))))
    return [int(count) for count in counts]


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = []
        for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
            is_number = column in (2, 4, 5)
            cells.append(cell.rjust(width) if is_number else cell.ljust(width))
        lines.append("  ".join(cells).rstrip())
    return lines


def _ensure_bool(leaves: dict[str, Any]) -> None:
    for name, leaf in leaves.items():
        if dtype_of(leaf) != np.dtype(bool):
            raise TypeError(
                f"mask: leaf {name!r} has dtype {dtype_of(leaf)}, expected bool; "
                "pass a mask, for example get_mask(optimizer_state)"
            )
