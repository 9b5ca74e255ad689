"""Selection: keeps exactly so many of the best.

Floats order like their bits (once the sign is folded in), so bisecting the bits finds the k-th largest score of a
whole tree in 32 passes of "how many are at least this": exact, without sorting, without concatenating, jittable and
vmappable. Ties at the cut fall by flat index, lowest first, just as a stable ascending sort would drop them.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

PyTree = Any


def select(scores: PyTree, mask: PyTree, count: jax.Array | int) -> PyTree:
    """Keeps the `count` highest-scoring living weights of the whole tree.

    Equals a stable ascending sort of the living scores whose first `kept - count` entries die, leaves in tree order
    and entries in row-major order.

    Args:
      scores: A tree of floating-point scores, free of NaN; ignored where the mask is scalar.
      mask: A total mask; only its living weights can be kept.
      count: How many to keep, traced or not; at most `kept(mask)` (more keeps all).

    Returns:
      A mask of the same structure with exactly `min(count, kept(mask))` living weights.

    Example:
      >>> scores = {'w': jnp.array([0.5, 0.3, 0.3, 0.9])}
      >>> select(scores, {'w': jnp.ones(4, bool)}, 3)['w'].tolist()
      [True, False, True, True]
    """
    masks, treedef = jax.tree.flatten(mask)
    candidates = [(m, s) for m, s in zip(masks, jax.tree.leaves(scores), strict=True) if jnp.ndim(m)]
    chosen = iter(_keep_best(candidates, jnp.asarray(count, jnp.int32)))
    return jax.tree.unflatten(treedef, [next(chosen) if jnp.ndim(m) else m for m in masks])


def select_per_leaf(scores: PyTree, mask: PyTree, counts: PyTree) -> PyTree:
    """Keeps the highest-scoring living weights of every leaf on its own.

    Args:
      scores: A tree of floating-point scores; ignored where the mask is scalar.
      mask: A total mask.
      counts: A tree of integers, one a leaf (see `lpjax.sparsity.allocate`); ignored where the mask is scalar.

    Returns:
      A mask with exactly the given counts.

    Example:
      >>> scores = {'a': jnp.array([1.0, 2.0]), 'b': jnp.array([3.0, 4.0])}
      >>> mask = jax.tree.map(lambda s: jnp.ones(s.shape, bool), scores)
      >>> kept = select_per_leaf(scores, mask, {'a': 1, 'b': 2})
      >>> kept['a'].tolist(), kept['b'].tolist()
      ([False, True], [True, True])
    """
    return jax.tree.map(lambda m, s, n: select(s, m, n) if jnp.ndim(m) else m, mask, scores, counts)


def _keep_best(candidates: list[tuple[jax.Array, jax.Array]], count: jax.Array) -> list[jax.Array]:
    dtype = jnp.float64 if any(s.dtype == jnp.float64 for _, s in candidates) else jnp.float32
    ranks = [jnp.where(m, _ordered_bits(s.astype(dtype)), 0) for m, s in candidates]
    cut = _kth_largest(ranks, count)
    surplus = _count(ranks, cut) - count
    above_ties = [r > cut for r in ranks]
    kept = lax.cond(
        surplus > 0,
        lambda: [above | last for above, last in zip(above_ties, _ties_after(ranks, cut, surplus), strict=True)],
        lambda: [r >= cut for r in ranks],
    )
    return [k & m for k, (m, _) in zip(kept, candidates, strict=True)]


def _ordered_bits(score: jax.Array) -> jax.Array:
    """Maps floats to unsigned integers of the same order, all above 0."""
    unsigned = jnp.uint64 if score.dtype == jnp.float64 else jnp.uint32
    bits = lax.bitcast_convert_type(score, unsigned)
    sign = jnp.asarray(1 << (jnp.iinfo(unsigned).bits - 1), unsigned)
    bits = jnp.where(bits == sign, jnp.zeros((), unsigned), bits)  # -0.0 ties with 0.0; as floats subnormals would too
    return jnp.where(bits >= sign, ~bits, bits | sign)


def _kth_largest(ranks: list[jax.Array], count: jax.Array) -> jax.Array:
    """Finds the largest value that at least `count` entries reach."""
    width = jnp.iinfo(ranks[0].dtype).bits
    one = jnp.ones((), ranks[0].dtype)

    def set_bit(i: jax.Array, prefix: jax.Array) -> jax.Array:
        trial = prefix | (one << (width - 1 - i).astype(prefix.dtype))
        return jnp.where(_count(ranks, trial) >= count, trial, prefix)

    return lax.fori_loop(0, width, set_bit, jnp.zeros((), one.dtype))


def _count(ranks: list[jax.Array], at_least: jax.Array) -> jax.Array:
    return jnp.asarray(sum(jnp.sum(r >= at_least, dtype=jnp.int32) for r in ranks), jnp.int32)


def _ties_after(ranks: list[jax.Array], cut: jax.Array, surplus: jax.Array) -> list[jax.Array]:
    """Marks the ties that remain when the first `surplus` of them, in flat order, die."""
    marks, seen = [], jnp.zeros((), jnp.int32)
    for rank in ranks:
        tie = rank == cut
        position = seen + jnp.cumsum(tie.ravel(), dtype=jnp.int32).reshape(tie.shape)
        marks.append(tie & (position > surplus))
        seen = seen + jnp.sum(tie, dtype=jnp.int32)
    return marks
