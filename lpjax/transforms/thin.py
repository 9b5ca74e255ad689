"""Thin rules: how a whole mask loses weights for good. Functions `(scores, mask, count) -> mask`."""

from typing import Any

import jax
import jax.numpy as jnp

from lpjax import sparsity

PyTree = Any


def in_proportion(scores: PyTree, mask: PyTree, count: jax.Array) -> PyTree:
    """Thins every leaf to the same density; `lpjax.sparsity.select` thins the tree as one.

    Args:
      scores: The higher, the longer a weight lives.
      mask: What lives.
      count: How many are to stay in the whole tree, int32 scalar.

    Returns:
      A mask with at most `count` living weights, and fewer by less than one a leaf unless a leaf had fewer before.
    """
    total = sparsity.total(mask)

    def keep(leaf: jax.Array) -> jax.Array:
        exact = count.astype(jnp.float32) / total * leaf.size
        return jnp.floor(exact * (1 + jnp.finfo(jnp.float32).eps)).astype(jnp.int32)

    return sparsity.select_per_leaf(scores, mask, jax.tree.map(keep, mask))
