"""Drop rules: which kept weights a mask update removes. Functions `(update, fraction, most) -> survivors`."""

from typing import Any

import jax
import jax.numpy as jnp

from lpjax import sparsity
from lpjax.transforms.mask_update import MaskUpdate
from lpjax.transforms.prune import globally

PyTree = Any


def smallest(update: MaskUpdate, fraction: jax.Array, most: PyTree) -> PyTree:
    """Drop the smallest weights of every leaf, `ceil(fraction * kept)` of them.

    Args:
      update: Parameters and mask.
      fraction: Share of the kept weights, float32 scalar in [0, 1).
      most: Integers, the most that each leaf (or layer) may drop.

    Returns:
      The mask of the survivors.

    Departs from the authors' code:
      Theirs drops all ties at the cut, and every kept weight that is exactly zero; here the count is exact.
    """

    def keep(kept: jax.Array, most: jax.Array) -> jax.Array:
        return kept - jnp.minimum(_share_of(kept, fraction), most)

    counts = jax.tree.map(keep, _kept_per_leaf(update, update.mask), most)
    return sparsity.select_per_leaf(sparsity.magnitude(update.params), update.mask, counts, update.prunable)


def smallest_global(update: MaskUpdate, fraction: jax.Array, most: PyTree) -> PyTree:
    """Drop the smallest weights of the whole tree, whatever their leaf.

    Args:
      update: Parameters and mask.
      fraction: Share of the kept weights, float32 scalar in [0, 1).
      most: Integers, the most that each leaf may drop; their sum bounds the whole.

    Returns:
      The mask of the survivors.
    """
    kept = sparsity.kept(update.mask, update.prunable)
    most_of_all = sum(jnp.sum(leaf) for leaf in jax.tree.leaves(most))
    count = kept - jnp.minimum(_share_of(kept, fraction), most_of_all)
    return globally(update, count)


def set_rule(update: MaskUpdate, fraction: jax.Array, most: PyTree) -> PyTree:
    """Drop the smallest positive and the largest negative weights of every leaf, the same share of both.

    Args:
      update: Parameters and mask. A weight of exactly zero counts as positive.
      fraction: Share of the kept weights of either sign, float32 scalar in [0, 1).
      most: Integers, the most that each leaf may drop; the positive ones come first.

    Returns:
      The mask of the survivors.

    References:
      Mocanu et al., Nature Communications 2018, Algorithm 1.
    """

    def negative_part(mask: jax.Array, param: jax.Array, prunable: bool) -> jax.Array:
        return mask & (param < 0) if prunable else mask

    def positive_part(mask: jax.Array, negative: jax.Array, prunable: bool) -> jax.Array:
        return mask & ~negative if prunable else mask

    def remaining(most: jax.Array, before: jax.Array, after: jax.Array) -> jax.Array:
        return most - (before - after)

    negative = jax.tree.map(negative_part, update.mask, update.params, update.prunable)
    positive = jax.tree.map(positive_part, update.mask, negative, update.prunable)
    kept_positive = smallest(update._replace(mask=positive), fraction, most)
    most_negative = jax.tree.map(
        remaining, most, _kept_per_leaf(update, positive), _kept_per_leaf(update, kept_positive)
    )
    kept_negative = smallest(update._replace(mask=negative), fraction, most_negative)
    return jax.tree.map(jnp.logical_or, kept_positive, kept_negative)


def _kept_per_leaf(update: MaskUpdate, mask: PyTree) -> PyTree:
    return sparsity.kept_per_leaf(mask, update.prunable, update.stacked)


def _share_of(count: jax.Array, fraction: jax.Array) -> jax.Array:
    """Round `fraction * count` up, unless it is an integer up to the rounding error of a float32 product."""
    product = jnp.asarray(fraction, jnp.float32) * count.astype(jnp.float32)
    rounding_error = jnp.minimum(4 * jnp.finfo(jnp.float32).eps * product, jnp.float32(0.25))
    return jnp.ceil(product - rounding_error).astype(jnp.int32)
