"""Selection: keep exactly so many of the highest scores.

Floats order like their bits (once the sign is folded in), so bisecting the bits finds the k-th largest score in 32
passes of "how many are at least this": exact, without sorting, under `jit` and `vmap`. Ties at the cut are resolved by
flat index, lowest dropped first, as a stable ascending sort would; the index is bisected likewise.

Small trees are packed into one matrix, so that one loop over one array serves all leaves: programs compile as fast for
a hundred leaves as for one. Large trees, and leaves split over the explicit axes of a mesh, are compared and summed
where they are, so that nothing is gathered. Both ways select the same weights.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lpjax.sparsity.names import leaf_names
from lpjax.sparsity.prunable import (
    Prunable,
    Stacked,
    choose_leaves,
    kernels,
    prunable_leaves,
    replace_leaves,
    stacked_axes,
)
from lpjax.sparsity.ranks import explicitly_split, ranks

PyTree = Any

_WIDTH = 1024  # of the matrix: rows are counted one by one, so a row should outweigh its sum
_LARGE = 2**26  # weights; above, gathering them on every device would cost more memory than compiling costs time


def select(
    scores: PyTree,
    mask: PyTree,
    count: jax.Array | int,
    prunable: Prunable = kernels,
    *,
    stacked: Stacked = None,
    min_kept: int = 0,
) -> PyTree:
    """Keep the `count` highest-scoring kept weights of the whole tree.

    Equal to a stable ascending sort of the kept weights' scores of which the first `kept - count` are dropped, leaves
    in tree order and entries in row-major order.

    Args:
      scores: A tree of floating-point scores, free of NaN; ignored in leaves that are not prunable.
      mask: A bool tree; only its kept weights can be kept.
      count: How many to keep, traced or not; at most `kept(mask)` (more keeps all).
      prunable: Which leaves are selected from.
      stacked: How many leading axes of a leaf index layers, for `min_kept`.
      min_kept: Weights that every leaf (or layer) keeps at least, as far as it has them; the others share the rest of
        `count`, which should be large enough for all floors.

    Returns:
      A mask with exactly `min(count, kept(mask))` kept prunable weights; other leaves unchanged.

    Raises:
      ValueError: If scores do not fit the mask, the count is not an integer of 0 or more, or there are 2**31 prunable
        weights or more, or none.

    Example:
      >>> scores = {'w': jnp.array([[0.5, 0.3], [0.3, 0.9]])}
      >>> select(scores, {'w': jnp.ones((2, 2), bool)}, 3)['w'].tolist()
      [[True, False], [True, True]]
    """
    if isinstance(count, int | float) and (count < 0 or count != int(count)):
        raise ValueError(f"count: got {count}, expected a number of weights, an integer of 0 or more")
    chosen = prunable_leaves(mask, prunable)
    leaves = _ranked_leaves(scores, mask, chosen)
    if sum(leaf.rank.size for leaf in leaves) >= 2**31:
        raise ValueError("mask: 2**31 prunable weights or more; prune layer by layer (scope='layerwise')")
    if min_kept:
        floors = []
        for leaf, stack in zip(leaves, choose_leaves(stacked_axes(mask, stacked), chosen), strict=True):
            number = jnp.sum(leaf.kept, axis=tuple(range(stack, leaf.kept.ndim)), dtype=jnp.int32)
            floors.append(jnp.minimum(number, min_kept))
        leaves = _protect(leaves, _keep_best_each(leaves, floors))
    return replace_leaves(mask, chosen, _keep_best(leaves, count))


def select_per_leaf(scores: PyTree, mask: PyTree, counts: PyTree, prunable: Prunable = kernels) -> PyTree:
    """Keep the highest-scoring kept weights of every leaf by itself.

    Args:
      scores: A tree of floating-point scores; ignored in leaves that are not prunable.
      mask: A bool tree.
      counts: A tree of integers, or of arrays `[layers]` for leaves whose leading axis stacks layers (see
        `lpjax.sparsity.allocate`); ignored in leaves that are not prunable.
      prunable: Which leaves are selected from.

    Returns:
      A mask with exactly the given counts; other leaves unchanged.

    Raises:
      ValueError: If no leaf is prunable.

    Example:
      >>> scores = {'v': jnp.array([[1.0, 2.0]]), 'w': jnp.array([[3.0, 4.0]])}
      >>> mask = jax.tree.map(lambda s: jnp.ones(s.shape, bool), scores)
      >>> kept = select_per_leaf(scores, mask, {'v': 1, 'w': 2})
      >>> kept['v'].tolist(), kept['w'].tolist()
      ([[False, True]], [[True, True]])
    """
    chosen = prunable_leaves(mask, prunable)
    leaves = _ranked_leaves(scores, mask, chosen)
    return replace_leaves(mask, chosen, _keep_best_each(leaves, choose_leaves(jax.tree.leaves(counts), chosen)))


class _Leaf(NamedTuple):
    """What selection compares: `rank` (unsigned, 0 where a weight is not kept) and the mask it may keep."""

    rank: jax.Array
    kept: jax.Array


def _ranked_leaves(scores: PyTree, mask: PyTree, chosen: list[bool]) -> list[_Leaf]:
    score_leaves = jax.tree.leaves(scores)
    if len(score_leaves) != len(chosen):
        raise ValueError(f"scores: got {len(score_leaves)} leaves, expected the mask's {len(chosen)}")
    names = choose_leaves(leaf_names(mask), chosen)
    used = [jnp.asarray(score) for score in choose_leaves(score_leaves, chosen)]
    kept_leaves = [jnp.asarray(kept) for kept in choose_leaves(jax.tree.leaves(mask), chosen)]
    dtype = jnp.float64 if jnp.float64 in [score.dtype for score in used] else jnp.float32
    leaves = []
    for name, score, kept in zip(names, used, kept_leaves, strict=True):
        if score.shape != kept.shape:
            raise ValueError(f"scores: leaf {name!r} has shape {score.shape}, expected {kept.shape}")
        leaves.append(_Leaf(ranks(score.astype(dtype), kept), kept))
    return leaves


def _protect(leaves: list[_Leaf], protected: list[jax.Array]) -> list[_Leaf]:
    """Give some weights the highest rank."""
    ranked = []
    for leaf, some in zip(leaves, protected, strict=True):
        highest = ~jnp.zeros((), leaf.rank.dtype)
        ranked.append(leaf._replace(rank=jnp.where(some, highest, leaf.rank)))
    return ranked


def _keep_best(leaves: list[_Leaf], count: jax.Array | int) -> list[jax.Array]:
    """Keep `count` weights of all leaves together."""
    return _keep_together(leaves, jnp.asarray(count, jnp.int32), pack=not _too_large_to_pack(leaves))


def _keep_best_each(leaves: list[_Leaf], counts: list[Any]) -> list[jax.Array]:
    """Keep `counts[i]` weights of leaf `i`, or of each of its layers."""
    wanted = [jnp.asarray(count, jnp.int32) for count in counts]
    return _keep_each(leaves, wanted, pack=not _too_large_to_pack(leaves))


@partial(jax.jit, static_argnames="pack")  # leaves of the same shapes are traced once, wherever a program selects
def _keep_together(leaves: list[_Leaf], wanted: jax.Array, *, pack: bool) -> list[jax.Array]:
    if pack:
        return _keep_packed(leaves, [0] * len(leaves), [1] * len(leaves), wanted[None])
    index = []
    offset = 0
    for leaf in leaves:
        index.append(_flat_index(leaf.rank, 0) + offset)
        offset += leaf.rank.size

    def count_groups(chosen: list[jax.Array]) -> list[jax.Array]:
        number = jnp.sum(chosen[0], dtype=jnp.int32)
        for some in chosen[1:]:
            number = number + jnp.sum(some, dtype=jnp.int32)
        return [number]

    def to_leaves(groups: list[jax.Array]) -> list[jax.Array]:
        return groups * len(leaves)

    return _bisect(leaves, index, [wanted], count_groups, to_leaves)


@partial(jax.jit, static_argnames="pack")
def _keep_each(leaves: list[_Leaf], wanted: list[jax.Array], *, pack: bool) -> list[jax.Array]:
    if pack:
        layers = [count.size for count in wanted]
        first_group = [int(start) for start in np.cumsum([0, *layers[:-1]])]
        return _keep_packed(leaves, first_group, layers, jnp.concatenate([count.ravel() for count in wanted]))
    axes = []
    index = []
    for leaf, count in zip(leaves, wanted, strict=True):
        axes.append(tuple(range(count.ndim, leaf.rank.ndim)))
        index.append(_flat_index(leaf.rank, count.ndim))

    def count_groups(chosen: list[jax.Array]) -> list[jax.Array]:
        return [jnp.sum(some, axis=axis, dtype=jnp.int32) for some, axis in zip(chosen, axes, strict=True)]

    def to_leaves(groups: list[jax.Array]) -> list[jax.Array]:
        return [jnp.expand_dims(group, axis) for group, axis in zip(groups, axes, strict=True)]

    return _bisect(leaves, index, wanted, count_groups, to_leaves)


def _too_large_to_pack(leaves: list[_Leaf]) -> bool:
    if sum(leaf.rank.size for leaf in leaves) > _LARGE:
        return True
    return any(explicitly_split(leaf.rank) or explicitly_split(leaf.kept) for leaf in leaves)


def _keep_packed(leaves: list[_Leaf], first_group: list[int], layers: list[int], wanted: jax.Array) -> list[jax.Array]:
    """Keep `wanted[g]` weights of every group, all leaves in one matrix; leaf `i` has groups for so many layers."""
    packed = _Leaf(_pack([leaf.rank for leaf in leaves], layers), _pack([leaf.kept for leaf in leaves], layers))
    rows: list[int] = []  # the group of every row
    for leaf, first, number_of_layers in zip(leaves, first_group, layers, strict=True):
        for layer in range(number_of_layers):
            rows += [first + layer] * _height(leaf.rank.size // number_of_layers)
    group = np.asarray(rows)
    index = jnp.arange(packed.rank.size, dtype=jnp.int32).reshape(packed.rank.shape)

    def count_groups(chosen: list[jax.Array]) -> list[jax.Array]:
        in_row = jnp.sum(chosen[0], axis=1, dtype=jnp.int32)
        belongs = np.arange(wanted.size)[:, None] == group
        return [jnp.sum(jnp.where(belongs, in_row, 0), axis=1, dtype=jnp.int32)]

    def to_leaves(groups: list[jax.Array]) -> list[jax.Array]:
        return [groups[0][group][:, None]]

    selected = _bisect([packed], [index], [wanted], count_groups, to_leaves)[0]
    return _unpack(selected, [leaf.kept for leaf in leaves], layers)


def _height(size: int) -> int:
    return -(-size // _WIDTH)


def _pack(leaves: list[jax.Array], layers: list[int]) -> jax.Array:
    """Lay leaves out in a matrix, every layer in rows of its own, padded with zeros."""
    rows = []
    for leaf, number in zip(leaves, layers, strict=True):
        flat = leaf.reshape(number, -1)
        rows.append(jnp.pad(flat, ((0, 0), (0, -flat.shape[1] % _WIDTH))).reshape(-1, _WIDTH))
    return jnp.concatenate(rows)


def _unpack(matrix: jax.Array, like: list[jax.Array], layers: list[int]) -> list[jax.Array]:
    leaves = []
    start = 0
    for leaf, number in zip(like, layers, strict=True):
        size = leaf.size // number
        rows = matrix[start : start + number * _height(size)]
        start += number * _height(size)
        leaves.append(rows.reshape(number, -1)[:, :size].reshape(leaf.shape))
    return leaves


def _bisect(
    leaves: list[_Leaf],
    index: list[jax.Array],
    wanted: list[jax.Array],
    count_groups: Callable[[list[jax.Array]], list[jax.Array]],
    to_leaves: Callable[[list[jax.Array]], list[jax.Array]],
) -> list[jax.Array]:
    """Keep `wanted` weights: those above a cut, and of those at the cut the ones of highest index.

    `count_groups` counts per group (one group, or one per leaf or layer); `to_leaves` broadcasts groups to leaves.
    """
    rank_dtype = leaves[0].rank.dtype
    size = sum(leaf.rank.size for leaf in leaves)

    def at_least(cut: list[jax.Array]) -> list[jax.Array]:
        limits = to_leaves(cut)
        return count_groups([leaf.rank >= limit for leaf, limit in zip(leaves, limits, strict=True)])

    def enough(cut: list[jax.Array]) -> list[jax.Array]:
        return jax.tree.map(jnp.greater_equal, at_least(cut), wanted)

    everything = at_least([jnp.zeros_like(number, dtype=rank_dtype) for number in wanted])
    zeros = jax.tree.map(jnp.subtract, everything, everything)  # vary over mapped axes and are split as the leaves are
    cut = _largest([zero.astype(rank_dtype) for zero in zeros], jnp.iinfo(rank_dtype).bits, enough)
    limits = to_leaves(cut)
    ties = [leaf.rank == limit for leaf, limit in zip(leaves, limits, strict=True)]
    surplus = jax.tree.map(jnp.subtract, at_least(cut), wanted)

    def droppable(first: list[jax.Array]) -> list[jax.Array]:
        before = []
        for tie, place, limit in zip(ties, index, to_leaves(first), strict=True):
            before.append(jnp.logical_and(tie, place < limit))
        return jax.tree.map(jnp.less_equal, count_groups(before), surplus)

    has_ties = jnp.any(jnp.stack([jnp.any(more > 0) for more in surplus]))
    first = lax.cond(has_ties, lambda: _largest(zeros, size.bit_length(), droppable), lambda: zeros)
    selected = []
    for leaf, limit, tie, place, start in zip(leaves, limits, ties, index, to_leaves(first), strict=True):
        selected.append(leaf.kept & ((leaf.rank > limit) | (tie & (place >= start))))
    return selected


def _largest(zeros: list[jax.Array], bits: int, holds: Callable[[list[jax.Array]], list[jax.Array]]) -> list[jax.Array]:
    """Find the largest numbers of so many bits that hold, where all below a number that holds do."""

    def set_bit(i: jax.Array, prefix: list[jax.Array]) -> list[jax.Array]:
        one = jnp.ones((), prefix[0].dtype) << (bits - 1 - i).astype(prefix[0].dtype)
        trial = [number | one for number in prefix]
        return jax.tree.map(jnp.where, holds(trial), trial, prefix)

    return lax.fori_loop(0, bits, set_bit, zeros)


def _flat_index(leaf: jax.Array, stacked: int) -> jax.Array:
    """Number the entries of a leaf, or of each of its stacked layers, in row-major order."""
    index = jnp.zeros((), jnp.int32)
    stride = 1
    for axis in reversed(range(stacked, leaf.ndim)):
        index = index + stride * lax.broadcasted_iota(jnp.int32, leaf.shape, axis)
        stride *= leaf.shape[axis]
    return index
