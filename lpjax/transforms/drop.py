"""Drop rules: which kept weights a mask update removes. Functions `(update, fraction, room) -> survivors`."""

from typing import Any

import jax
import jax.numpy as jnp

from lpjax import sparsity
from lpjax.transforms.mask_update import MaskUpdate

PyTree = Any


def smallest(update: MaskUpdate, fraction: jax.Array, room: PyTree) -> PyTree:
    """Drop the smallest weights of every leaf, `ceil(fraction * kept)` of them.

    Args:
      update: Parameters and mask.
      fraction: Share of the kept weights, float32 scalar in [0, 1).
      room: Integers, the most that each leaf (or layer) may drop.

    Returns:
      The mask of the survivors.

    Departs from the authors' code:
      Theirs drops all ties at the cut, and every kept weight that is exactly zero; here the count is exact.
    """

    def keep(kept: jax.Array, most: jax.Array) -> jax.Array:
        return kept - jnp.minimum(_share_of(kept, fraction), most)

    counts = jax.tree.map(keep, _kept(update, update.mask), room)
    return sparsity.select_per_leaf(sparsity.magnitude(update.params), update.mask, counts, update.prunable)


def smallest_global(update: MaskUpdate, fraction: jax.Array, room: PyTree) -> PyTree:
    """Drop the smallest weights of the whole tree, whatever their leaf.

    Args:
      update: Parameters and mask.
      fraction: Share of the kept weights, float32 scalar in [0, 1).
      room: Integers, the most that each leaf may drop; their sum bounds the whole.

    Returns:
      The mask of the survivors.
    """
    kept = sparsity.kept(update.mask, update.prunable)
    most = sum(jnp.sum(leaf) for leaf in jax.tree.leaves(room))
    dropped = jnp.minimum(_share_of(kept, fraction), most)
    scores = sparsity.magnitude(update.params)
    count = kept - dropped
    floor = update.min_kept
    return sparsity.select(scores, update.mask, count, update.prunable, stacked=update.stacked, min_kept=floor)


def set_rule(update: MaskUpdate, fraction: jax.Array, room: PyTree) -> PyTree:
    """Drop the smallest positive and the largest negative weights of every leaf, the same share of both.

    Args:
      update: Parameters and mask. A weight of exactly zero counts as positive.
      fraction: Share of the kept weights of either sign, float32 scalar in [0, 1).
      room: Integers, the most that each leaf may drop; the positive ones come first.

    Returns:
      The mask of the survivors.

    References:
      Mocanu et al., Nature Communications 2018, Algorithm 1.
    """
    negative = jax.tree.map(lambda m, p, used: m & (p < 0) if used else m, update.mask, update.params, update.prunable)
    positive = jax.tree.map(lambda m, n, used: m & ~n if used else m, update.mask, negative, update.prunable)
    survivors = smallest(update._replace(mask=positive), fraction, room)

    def left(most: jax.Array, before: jax.Array, after: jax.Array) -> jax.Array:
        return most - (before - after)

    left_over = jax.tree.map(left, room, _kept(update, positive), _kept(update, survivors))
    others = smallest(update._replace(mask=negative), fraction, left_over)
    return jax.tree.map(jnp.logical_or, survivors, others)


def _kept(update: MaskUpdate, mask: PyTree) -> PyTree:
    return sparsity.kept_per_leaf(mask, update.prunable, update.stacked)


def _share_of(count: jax.Array, fraction: jax.Array) -> jax.Array:
    """Round `fraction * count` up, unless it is an integer up to the rounding error of a float32 product."""
    product = jnp.asarray(fraction, jnp.float32) * count.astype(jnp.float32)
    dust = jnp.minimum(4 * jnp.finfo(jnp.float32).eps * product, jnp.float32(0.25))
    return jnp.ceil(product - dust).astype(jnp.int32)
