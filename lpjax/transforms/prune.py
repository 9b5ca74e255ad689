"""Prune rules: how a mask loses weights for good. Functions `(update, count) -> mask`."""

from typing import Any

import jax
import jax.numpy as jnp

from lpjax import sparsity
from lpjax.transforms.mask_update import MaskUpdate

PyTree = Any


def globally(update: MaskUpdate, count: jax.Array) -> PyTree:
    """Prune the smallest weights of the whole tree.

    Args:
      update: Parameters and mask.
      count: How many weights the whole tree keeps, int32 scalar.

    Returns:
      A mask with `count` kept weights.
    """
    return sparsity.select(
        sparsity.magnitude(update.params),
        update.mask,
        count,
        update.prunable,
        stacked=update.stacked,
        min_kept=update.min_kept,
    )


def in_proportion(update: MaskUpdate, count: jax.Array) -> PyTree:
    """Prune every leaf (or layer) to the same density.

    Args:
      update: Parameters and mask.
      count: How many weights the whole tree keeps, int32 scalar.

    Returns:
      A mask with at most `count` kept weights, and fewer by less than one per leaf unless a leaf had fewer before;
      more where `min_kept` asks for them.
    """
    total = sparsity.total(update.mask, update.prunable)
    sizes = sparsity.kept_per_leaf(sparsity.full_mask(update.mask), update.prunable, update.stacked)

    def keep(size: jax.Array) -> jax.Array:
        exact = count.astype(jnp.float32) / total * size.astype(jnp.float32)
        kept = jnp.floor(exact * (1 + jnp.finfo(jnp.float32).eps)).astype(jnp.int32)
        return jnp.maximum(kept, jnp.minimum(size, update.min_kept))

    counts = jax.tree.map(keep, sizes)
    return sparsity.select_per_leaf(sparsity.magnitude(update.params), update.mask, counts, update.prunable)
