"""Selection: keeps exactly so many of the best.

Floats order like their bits (once the sign is folded in), so bisecting the bits finds the k-th largest score in 32
passes of "how many are at least this": exact, without sorting, jittable and vmappable. Ties at the cut fall by flat
index, lowest first, just as a stable ascending sort would drop them; their indices are bisected likewise.

All leaves lie in one matrix, each from a row of its own on, so that one loop serves them all, whether they share a cut
or have one each: programs compile as fast for a hundred leaves as for one.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

PyTree = Any

_WIDTH = 1024  # of the matrix: rows are counted on their own, so a row should outweigh its sum


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
    leaves = _prunable(mask, mask)
    return _with_leaves(mask, _keep_best(_prunable(scores, mask), leaves, [0] * len(leaves), [count]))


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
    leaves = _prunable(mask, mask)
    return _with_leaves(mask, _keep_best(_prunable(scores, mask), leaves, range(len(leaves)), _prunable(counts, mask)))


def _prunable(tree: PyTree, mask: PyTree) -> list[Any]:
    return [x for x, m in zip(jax.tree.leaves(tree), jax.tree.leaves(mask), strict=True) if jnp.ndim(m)]


def _with_leaves(mask: PyTree, prunable: list[jax.Array]) -> PyTree:
    leaves, treedef = jax.tree.flatten(mask)
    chosen = iter(prunable)
    return jax.tree.unflatten(treedef, [next(chosen) if jnp.ndim(m) else m for m in leaves])


def _keep_best(
    scores: list[jax.Array], masks: list[jax.Array], groups: Sequence[int], counts: Sequence[jax.Array | int]
) -> list[jax.Array]:
    """Keeps `counts[g]` of the leaves of group `g`."""
    if not masks:
        return []
    dtype = jnp.float64 if any(s.dtype == jnp.float64 for s in scores) else jnp.float32
    alive = _rows(masks, bool)
    rank = jnp.where(alive, ordered_bits(_rows(scores, dtype)), 0)
    index = jnp.arange(rank.size, dtype=jnp.int32).reshape(rank.shape)
    group = np.repeat(np.asarray(groups), [_height(m) for m in masks])
    wanted = jnp.stack([jnp.asarray(n, jnp.int32) for n in counts])

    def of_row(by_group: jax.Array) -> jax.Array:
        return by_group[group][:, None]

    def count(chosen: jax.Array) -> jax.Array:
        in_row = jnp.sum(chosen, axis=1, dtype=jnp.int32)
        return jnp.sum(jnp.where(jnp.arange(len(counts))[:, None] == group, in_row, 0), axis=1, dtype=jnp.int32)

    start = jnp.zeros(len(counts), rank.dtype)
    cut = _largest(start, jnp.iinfo(rank.dtype).bits, lambda cut: count(rank >= of_row(cut)) >= wanted)
    tie, surplus = rank == of_row(cut), count(rank >= of_row(cut)) - wanted
    start = jnp.zeros(len(counts), jnp.int32)
    first = lax.cond(
        jnp.any(surplus > 0),
        lambda: _largest(start, rank.size.bit_length(), lambda i: count(tie & (index < of_row(i))) <= surplus),
        lambda: start,
    )
    return _leaves(alive & ((rank > of_row(cut)) | (tie & (index >= of_row(first)))), masks)


def _largest(start: jax.Array, bits: int, holds: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """Finds the largest unsigned numbers of so many bits that hold, where all below a number that holds do."""

    def set_bit(i: jax.Array, prefix: jax.Array) -> jax.Array:
        trial = prefix | (jnp.ones((), start.dtype) << (bits - 1 - i).astype(start.dtype))
        return jnp.where(holds(trial), trial, prefix)

    return lax.fori_loop(0, bits, set_bit, start)


def ordered_bits(score: jax.Array) -> jax.Array:
    """Maps floats to unsigned integers of the same order, all above 0."""
    unsigned = jnp.uint64 if score.dtype == jnp.float64 else jnp.uint32
    bits = lax.bitcast_convert_type(score, unsigned)
    sign = jnp.asarray(1 << (jnp.iinfo(unsigned).bits - 1), unsigned)
    bits = jnp.where(bits == sign, jnp.zeros((), unsigned), bits)  # -0.0 ties with 0.0; as floats subnormals would too
    return jnp.where(bits >= sign, ~bits, bits | sign)


def _height(leaf: jax.Array) -> int:
    return -(-leaf.size // _WIDTH)


def _rows(leaves: list[jax.Array], dtype: Any) -> jax.Array:
    padded = [jnp.pad(x.ravel().astype(dtype), (0, -x.size % _WIDTH)) for x in leaves]
    return jnp.concatenate(padded).reshape(-1, _WIDTH)


def _leaves(rows: jax.Array, like: list[jax.Array]) -> list[jax.Array]:
    ends = np.cumsum([_height(x) for x in like])
    return [block.ravel()[: x.size].reshape(x.shape) for block, x in zip(jnp.split(rows, ends[:-1]), like, strict=True)]
