"""Structure that hardware can use: so many of every few weights that are summed together, or whole channels."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lpjax.sparsity.channels import ChannelGraph, channel_sizes, prunable_groups, readers_of, writers_of
from lpjax.sparsity.names import leaf_names, leaves_by_name
from lpjax.sparsity.prunable import (
    Prunable,
    Stacked,
    all_leaves,
    as_tree,
    input_axes,
    kernels,
    prunable_leaves,
    stacked_axes,
)
from lpjax.sparsity.ranks import explicitly_split, ranks
from lpjax.sparsity.select import select

PyTree = Any
InputAxes = Callable[[str, Any], tuple[int, ...] | None]
"""`(path, leaf) -> axes` over which the leaf's matrix product sums."""


def select_n_of_m(
    scores: PyTree,
    mask: PyTree,
    n: int = 2,
    m: int = 4,
    *,
    prunable: Prunable = kernels,
    stacked: Stacked = None,
    inputs: InputAxes = input_axes,
) -> PyTree:
    """Keep the `n` highest-scoring kept weights of every `m` consecutive inputs of a matrix product.

    Groups are cut from input 0 on. Ties are resolved by index, lowest dropped first, as in `select`.

    Args:
      scores: A tree of floating-point scores, free of NaN; ignored in leaves that are not prunable.
      mask: A bool tree; only its kept weights can be kept.
      n: How many to keep of a group, at least 1; a group with fewer kept weights keeps all of them.
      m: Weights per group.
      prunable: Which leaves are selected from.
      stacked: How many leading axes of a leaf index layers.
      inputs: Finds the axes of a leaf (of one layer, where layers are stacked) that index inputs, counted from the
        last; several are taken as one, in row-major order.

    Returns:
      A mask of the same structure. Leaves that `ungrouped` lists keep all they have.

    Raises:
      ValueError: If `n` is below 1 or above `m`, or no leaf is prunable.

    Example:
      >>> scores = {'w': jnp.array([[0.1], [0.9], [0.5], [0.5], [3.0], [1.0], [2.0], [4.0]])}
      >>> select_n_of_m(scores, {'w': jnp.ones((8, 1), bool)})['w'].ravel().astype(int).tolist()
      [0, 1, 0, 1, 1, 0, 0, 1]

    References:
      Mishra et al., Accelerating Sparse Deep Neural Networks, 2021, section 3.
    """
    if not 1 <= n <= m:
        raise ValueError(f"n, m: got {n} of {m}, expected 1 <= n <= m, such as n=2, m=4")
    dense = ungrouped(mask, m, prunable=prunable, stacked=stacked, inputs=inputs)
    leaves = zip(
        leaf_names(mask),
        jax.tree.leaves(mask),
        jax.tree.leaves(scores),
        prunable_leaves(mask, prunable),
        _axes_of_inputs(mask, stacked, inputs),
        strict=True,
    )
    selected = []
    for name, kept, score, counted, axes in leaves:
        if counted and name not in dense:
            selected.append(_best_of_groups(score, kept, n, m, axes or ()))
        else:
            selected.append(kept)
    return as_tree(selected, mask)


def ungrouped(
    mask: PyTree,
    m: int = 4,
    *,
    prunable: Prunable = kernels,
    stacked: Stacked = None,
    inputs: InputAxes = input_axes,
) -> dict[str, tuple[int, ...]]:
    """List the shapes of prunable leaves whose inputs cannot be cut into groups of `m`, and which stay dense.

    These are leaves without inputs, or whose number of inputs `m` does not divide (the three channels of an image,
    depthwise kernels).

    Example:
      >>> ungrouped({'stem': {'kernel': jnp.zeros((3, 3, 3, 8))}, 'head': {'kernel': jnp.zeros((8, 10))}})
      {'stem/kernel': (3, 3, 3, 8)}
    """
    leaves = zip(
        leaf_names(mask),
        jax.tree.leaves(mask),
        prunable_leaves(mask, prunable),
        _axes_of_inputs(mask, stacked, inputs),
        strict=True,
    )
    found = {}
    for name, leaf, counted, axes in leaves:
        shape = np.shape(leaf)
        size = math.prod(shape[axis] for axis in axes) if axes is not None else 0
        if counted and (not size or size % m):
            found[name] = shape
    return found


def select_channels(
    scores: PyTree, mask: PyTree, graph: ChannelGraph, density: float, *, prunable: Prunable = kernels
) -> PyTree:
    """Keep the channels with the highest total score over the whole network, with all their weights.

    The score of a channel is the sum of the scores of its kept incoming weights; biases and normalization do not count.
    With scores `|w|` it is the L1 norm of the channel's kernel, with `w^2` the square of its L2 norm. All channels are
    ranked together, as `select` ranks weights. Sums of `|w|` grow with the number of inputs of a layer; with the usual
    initializers, sums of `w^2` do not, and so compare layers of different size. Every group keeps one channel at
    least, and groups that are not prunable are left alone.

    Args:
      scores: A tree of floating-point scores, such as the squares of the weights.
      mask: A bool tree. Channels without incoming or without outgoing weights in it cannot be kept.
      graph: The channel graph.
      density: Share of the channels of prunable groups that are kept, in (0, 1]; of `n` channels, `round(density * n)`,
        but one per group at least.
      prunable: Which leaves are pruned. Other leaves keep all they have.

    Returns:
      A mask of the same structure, without the incoming and outgoing weights of the other channels.

    Raises:
      ValueError: If the density is out of range, the graph does not fit, or none of its groups can be pruned.

    Example:
      >>> from lpjax.sparsity import ChannelGroup, full_mask, magnitude
      >>> params = {'hidden': jnp.array([[1.0, -3.0, 2.0]]), 'out': jnp.ones((3, 1))}
      >>> graph = {'hidden': ChannelGroup([('hidden', 1)], [('out', 0)])}
      >>> mask = select_channels(magnitude(params), full_mask(params), graph, density=0.67)
      >>> mask['hidden'].tolist(), mask['out'].ravel().tolist()
      ([[False, True, True]], [False, True, True])

    References:
      Li et al., Pruning Filters for Efficient ConvNets, ICLR 2017 (norms of filters, layer by layer).
    """
    if not 0 < density <= 1:
        raise ValueError(f"density: got {density}, expected a fraction in (0, 1]")
    sizes = channel_sizes(mask, graph)
    chosen = dict(zip(leaf_names(mask), prunable_leaves(mask, prunable), strict=True))
    masks = leaves_by_name(mask)
    score_of = leaves_by_name(scores)
    totals = {}
    alive = {}
    for name, group in prunable_groups(graph).items():
        writers = [writer.output for writer in writers_of(group)]
        if not all(chosen[writer.leaf] for writer in writers):
            continue
        total = jnp.zeros(sizes[name], jnp.float32)
        written = jnp.zeros(sizes[name], bool)
        read = jnp.zeros(sizes[name], bool)
        for writer in writers:
            kept = _by_channel(masks[writer.leaf], writer.axis, sizes[name])
            score = _by_channel(score_of[writer.leaf], writer.axis, sizes[name]).astype(jnp.float32)
            total = total + jnp.sum(jnp.where(kept, score, jnp.zeros((), jnp.float32)), axis=1)
            written = written | jnp.any(kept, axis=1)
        for reader in readers_of(group):
            read = read | jnp.any(_by_channel(masks[reader.leaf], reader.axis, sizes[name]), axis=1)
        totals[name] = total
        alive[name] = written & read
    if not totals:
        raise ValueError("graph: got no group that can be pruned")
    number = sum(len(channels) for channels in alive.values())
    count = max(round(density * number), len(alive))
    kept_channels = select(totals, alive, count, all_leaves, min_kept=1)
    for name, channels in kept_channels.items():
        for axis in [writer.output for writer in writers_of(graph[name])] + readers_of(graph[name]):
            if chosen[axis.leaf]:
                leaf = jnp.asarray(masks[axis.leaf])
                shape = [1] * leaf.ndim
                shape[axis.axis] = leaf.shape[axis.axis]
                repeats = leaf.shape[axis.axis] // sizes[name]
                masks[axis.leaf] = leaf & jnp.tile(channels, repeats).reshape(shape)
    return as_tree(list(masks.values()), mask)


def _by_channel(leaf: Any, axis: int, size: int) -> jax.Array:
    """Cut a leaf into rows, one per channel."""
    moved = jnp.moveaxis(jnp.asarray(leaf), axis, 0)
    positions = moved.reshape(-1, size, *moved.shape[1:])
    return jnp.moveaxis(positions, 1, 0).reshape(size, -1)


def _axes_of_inputs(tree: PyTree, stacked: Stacked, inputs: InputAxes) -> list[tuple[int, ...] | None]:
    """Find for every leaf the axes that index inputs, looking at the shape of one layer."""
    axes = []
    for name, leaf, stack in zip(leaf_names(tree), jax.tree.leaves(tree), stacked_axes(tree, stacked), strict=True):
        layer = jax.ShapeDtypeStruct(np.shape(leaf)[stack:], getattr(leaf, "dtype", bool))
        axes.append(inputs(name, layer))
    return axes


def _best_of_groups(score: jax.Array, kept: jax.Array, n: int, m: int, axes: tuple[int, ...]) -> jax.Array:
    dtype = jnp.float64 if score.dtype == jnp.float64 else jnp.float32
    rank = ranks(score.astype(dtype), kept)
    last = tuple(range(-len(axes), 0))

    def best(rank: jax.Array) -> jax.Array:
        moved = jnp.moveaxis(rank, axes, last)
        groups = moved.reshape(*moved.shape[: moved.ndim - len(last)], -1, m)
        mine = groups[..., :, None]
        other = groups[..., None, :]
        later = jnp.arange(m)[None, :] > jnp.arange(m)[:, None]
        better = jnp.sum((other > mine) | ((other == mine) & later), axis=-1, dtype=jnp.int32)
        return jnp.moveaxis((better < n).reshape(moved.shape), last, axes)

    if explicitly_split(rank):  # groups may lie across devices: the compiler moves what it must
        return kept & jax.sharding.auto_axes(best, out_sharding=jax.typeof(rank).sharding)(rank)
    return kept & best(rank)
