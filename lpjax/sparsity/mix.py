"""Mixing: one set of weights out of several, leaf by leaf."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

PyTree = Any


def lerp(anchor: PyTree, newcomer: PyTree, coefficient: jax.Array | float) -> PyTree:
    """Interpolates linearly, `(1 - c) * anchor + c * newcomer`.

    Args:
      anchor: A pytree of floating-point arrays.
      newcomer: Another of the same structure, shapes and dtypes.
      coefficient: The newcomer's weight `c`, in [0, 1]; 0 and 1 reproduce the ends exactly.

    Returns:
      The mix, in the leaves' own dtypes.

    Example:
      >>> lerp({'w': jnp.array([0.0, 4.0])}, {'w': jnp.array([1.0, 0.0])}, 0.25)['w'].tolist()
      [0.25, 3.0]

    References:
      Yin et al., Lottery Pools, AAAI 2023, Eq. 2, where α = 1 - c weighs the anchor.
    """

    def leaf(a: jax.Array, b: jax.Array) -> jax.Array:
        c = jnp.asarray(coefficient, a.dtype)
        return (1 - c) * a + c * b

    return jax.tree.map(leaf, anchor, newcomer)


def mean(trees: Sequence[PyTree]) -> PyTree:
    """Averages trees with equal weights.

    Args:
      trees: One or more pytrees of the same structure.

    Returns:
      Their mean, in the leaves' own dtypes.

    Raises:
      ValueError: If there are none.

    Example:
      >>> mean([{'w': jnp.array(1.0)}, {'w': jnp.array(3.0)}])['w'].item()
      2.0
    """
    if not trees:
        raise ValueError("got no tree to average; give one or more")
    return jax.tree.map(lambda *leaves: sum(leaves[1:], start=leaves[0]) / len(leaves), *trees)
