"""Mixing: trees interpolated and averaged, in the dtypes of the first."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from lpjax.sparsity.names import ensure_same_shapes

PyTree = Any


def lerp(anchor: PyTree, candidate: PyTree, coefficient: jax.Array | float) -> PyTree:
    """Interpolate linearly, `(1 - c) * anchor + c * candidate`.

    Args:
      anchor: A pytree of arrays.
      candidate: Another of the same structure and shapes.
      coefficient: The candidate's weight `c`, in [0, 1]; 0 and 1 give the two ends exactly.

    Returns:
      The mix in the anchor's dtypes, computed in float32 or better. Integers and bools are the anchor's.

    Raises:
      ValueError: If structures or shapes differ, naming the first leaf; nothing is broadcast.

    Example:
      >>> lerp({'w': jnp.array([0.0, 4.0])}, {'w': jnp.array([1.0, 0.0])}, 0.25)['w'].tolist()
      [0.25, 3.0]

    References:
      Yin et al., Lottery Pools, AAAI 2023, Eq. 2, where α = 1 - c weighs the anchor.
    """
    ensure_same_shapes(candidate, anchor, "candidate")

    def leaf(a: jax.Array, b: jax.Array) -> jax.Array:
        a = jnp.asarray(a)
        if not jnp.issubdtype(a.dtype, jnp.inexact):
            return a
        dtype = accumulator(a.dtype)
        c = jnp.asarray(coefficient, dtype)
        return ((1 - c) * a.astype(dtype) + c * jnp.asarray(b).astype(dtype)).astype(a.dtype)

    return jax.tree.map(leaf, anchor, candidate)


def mean(trees: Sequence[PyTree]) -> PyTree:
    """Average trees with equal weights.

    The mean is computed as `first + mean(tree - first)`, so that equal trees average to themselves exactly.

    Args:
      trees: One or more pytrees of the same structure and shapes.

    Returns:
      Their mean in the first tree's dtypes, accumulated in float32 or better; integers are rounded.

    Raises:
      ValueError: If there is no tree, or structures or shapes differ.

    Example:
      >>> mean([{'w': jnp.array(1.0)}, {'w': jnp.array(3.0)}])['w'].item()
      2.0
    """
    if not trees:
        raise ValueError("trees: got none, expected one or more")
    for tree in trees[1:]:
        ensure_same_shapes(tree, trees[0], "trees")

    def leaf(first: jax.Array, *others: jax.Array) -> jax.Array:
        first = jnp.asarray(first)
        dtype = accumulator(first.dtype)
        exact = first.dtype if jnp.issubdtype(first.dtype, jnp.integer) else dtype
        difference = jnp.zeros(first.shape, dtype)
        for other in others:
            difference = difference + (jnp.asarray(other).astype(exact) - first.astype(exact)).astype(dtype)
        difference = difference / len(trees)
        if jnp.issubdtype(first.dtype, jnp.integer):
            return first + jnp.round(difference).astype(first.dtype)
        return (first.astype(dtype) + difference).astype(first.dtype)

    return jax.tree.map(leaf, *trees)


def accumulator(dtype: Any) -> Any:
    """Choose the dtype in which leaves are summed: their own if it is complex or float64, float32 for all others."""
    if jnp.issubdtype(dtype, jnp.complexfloating) or dtype == jnp.float64:
        return dtype
    return jnp.float32
