"""Drop rules: which living weights die when a mask changes. Functions `(view, fraction, room) -> survivors`."""

from typing import Any

import jax
import jax.numpy as jnp

from lpjax import sparsity
from lpjax.transforms.view import View

PyTree = Any


def smallest(view: View, fraction: jax.Array, room: PyTree) -> PyTree:
    """Drops the smallest weights of every leaf, `ceil(fraction * kept)` of them.

    Args:
      view: Parameters and mask.
      fraction: Share of the living weights, float32 scalar in [0, 1).
      room: Integers, the most that each leaf may drop.

    Returns:
      The mask of the survivors.

    Departs from the authors' code:
      Theirs drops all ties at the cut, and every living weight that is exactly zero; here the count is exact.
    """
    keep = jax.tree.map(
        lambda n, r: n - jnp.minimum(_share_of(n, fraction), r), sparsity.kept_per_leaf(view.mask), room
    )
    return sparsity.select_per_leaf(sparsity.magnitude(view.params), view.mask, keep)


def smallest_overall(view: View, fraction: jax.Array, room: PyTree) -> PyTree:
    """Drops the smallest weights of the whole tree, whatever their leaf.

    Args:
      view: Parameters and mask.
      fraction: Share of the living weights, float32 scalar in [0, 1).
      room: Integers, the most that each leaf may drop; their sum bounds the whole.

    Returns:
      The mask of the survivors.
    """
    living = sparsity.kept(view.mask)
    drop = jnp.minimum(_share_of(living, fraction), sum(jax.tree.leaves(room)))
    return sparsity.select(sparsity.magnitude(view.params), view.mask, living - drop)


def nearest_zero(view: View, fraction: jax.Array, room: PyTree) -> PyTree:
    """Drops the smallest positive and the largest negative weights of every leaf, the same share of both.

    Args:
      view: Parameters and mask. A weight of exactly zero counts as positive.
      fraction: Share of the living weights of either sign, float32 scalar in [0, 1).
      room: Integers, the most that each leaf may drop; the positive ones come first.

    Returns:
      The mask of the survivors.

    References:
      Mocanu et al., Nature Communications 2018, Algorithm 1.
    """
    negative = jax.tree.map(lambda m, p: m & (p < 0) if jnp.ndim(m) else m, view.mask, view.params)
    positive = jax.tree.map(lambda m, n: m & ~n if jnp.ndim(m) else m, view.mask, negative)
    survivors = smallest(view._replace(mask=positive), fraction, room)
    left = jax.tree.map(
        lambda r, a, b: r - (a - b), room, sparsity.kept_per_leaf(positive), sparsity.kept_per_leaf(survivors)
    )
    others = smallest(view._replace(mask=negative), fraction, left)
    return jax.tree.map(lambda a, b: a | b, survivors, others)


def _share_of(count: jax.Array, fraction: jax.Array) -> jax.Array:
    """Rounds `fraction * count` up, unless it is an integer but for the dust of a float32 product."""
    product = jnp.asarray(fraction, jnp.float32) * count.astype(jnp.float32)
    dust = jnp.minimum(4 * jnp.finfo(jnp.float32).eps * product, jnp.float32(0.25))
    return jnp.ceil(product - dust).astype(jnp.int32)
