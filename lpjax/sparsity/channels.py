"""Channel graphs: which axes of which leaves carry the same channels.

A graph is a dict of `ChannelGroup`, plain data that names leaves by their paths. Permuting the channels of a group
along all its axes leaves the function of the network as it is, which `check_channels` verifies. `lpjax.shrink` removes
channels along the same axes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lpjax.sparsity.names import leaves_by_name
from lpjax.sparsity.prunable import as_tree

PyTree = Any


class BatchNorm(NamedTuple):
    """A BatchNorm layer, `scale * (x - mean) / sqrt(var + epsilon) + bias`, by the paths of its leaves.

    Attributes:
      mean: Path of the mean, `[C]`.
      var: Path of the variance, `[C]`.
      scale: Path of the scale, `[C]`; None for a layer without.
      bias: Path of the bias, `[C]`; None for a layer without.
      epsilon: Added to the variance.
    """

    mean: str
    var: str
    scale: str | None = None
    bias: str | None = None
    epsilon: float = 1e-5


Step = str | BatchNorm | Callable[[Any], Any]
"""What follows a kernel: the path of a bias that is added, a BatchNorm, or an elementwise function."""


class Axis(NamedTuple):
    """An axis of a leaf that carries the channels of a group.

    Attributes:
      leaf: The leaf's path, as `lpjax.sparsity.leaf_names` writes it.
      axis: Which axis.
      positions: Where on the axis the channels lie, if it carries other channels too; None if they fill it.
    """

    leaf: str
    axis: int
    positions: tuple[int, ...] | None = None


class Writer(NamedTuple):
    """A kernel that computes the channels of a group.

    Attributes:
      kernel: The kernel's path.
      axis: The axis of its outputs.
      then: The steps that follow it, in order, such as `('conv/bias', BatchNorm(...), jax.nn.relu)`.
      positions: As in `Axis`.
    """

    kernel: str
    axis: int
    then: Sequence[Step] = ()
    positions: tuple[int, ...] | None = None

    @property
    def output(self) -> Axis:
        """The axis of its kernel that carries the channels."""
        return Axis(self.kernel, self.axis, self.positions)


class ChannelGroup(NamedTuple):
    """Channels that are permuted, or removed, together.

    Writers and axes may also be given as plain tuples of their fields, such as `('hidden/kernel', 0)`.

    Attributes:
      writers: The kernels that compute the channels.
      readers: The input axes of the kernels that read them. An axis of `k * C` entries reads a flattened
        `[..., C]`: channel `c` is its entries `c, c + C, ...`. A group without readers is an output of the network.
      others: Further axes that carry the channels: of normalization layers before a reader, embeddings and the like.
      prunable: Whether channels may be removed. False for residual streams, classes, channels that are normalized
        together (LayerNorm, GroupNorm), and groups on part of an axis or with `others`.
      join: Combines the values of several writers, after their steps, such as `jax.numpy.multiply` in gated units;
        needed where such a group is prunable.
    """

    writers: Sequence[Writer | tuple]
    readers: Sequence[Axis | tuple] = ()
    others: Sequence[Axis | tuple] = ()
    prunable: bool = True
    join: Callable[..., jax.Array] | None = None


ChannelGraph = Mapping[str, ChannelGroup]
"""The groups of a network by name. Axes in no group, such as those of the network's inputs, are left alone."""


def writers_of(group: ChannelGroup) -> list[Writer]:
    """List the writers of a group as records."""
    return [Writer(*writer) for writer in _several("writers", group.writers)]


def readers_of(group: ChannelGroup) -> list[Axis]:
    """List the axes that read a group as records."""
    return [Axis(*reader) for reader in _several("readers", group.readers)]


def _several(field: str, given: Sequence[Any]) -> Sequence[Any]:
    if given and isinstance(given[0], str):
        raise TypeError(f"{field}: got one tuple {tuple(given)}, expected a list of such tuples; put it into brackets")
    return given


def axes_of(group: ChannelGroup) -> Iterator[Axis]:
    """List all axes of a group, those of its kernels first."""
    for writer in writers_of(group):
        yield writer.output
    yield from readers_of(group)
    for writer in writers_of(group):
        for leaf in _vectors(writer):
            yield Axis(leaf, 0, writer.positions)
    for other in group.others:
        yield Axis(*other)


def prunable_groups(graph: ChannelGraph) -> dict[str, ChannelGroup]:
    """Select the groups whose channels may be removed; groups without readers are outputs, and excluded.

    Raises:
      ValueError: If a group says so, but what its channels compute is not known.
    """
    groups = {}
    for name, group in graph.items():
        if not group.prunable or not group.readers:
            continue
        trouble = ""
        read = {reader.leaf for reader in readers_of(group)}
        if any(axis.positions is not None for axis in axes_of(group)):
            trouble = "lies on part of an axis"
        elif any(writer.kernel in read for writer in writers_of(group)):
            trouble = "has a kernel that both writes and reads it"
        elif group.others:
            trouble = "has axes among its others"
        elif len(group.writers) > 1 and group.join is None:
            trouble = "has several writers and no join"
        if trouble:
            raise ValueError(f"graph: group {name!r} {trouble}; give it prunable=False")
        groups[name] = group
    return groups


def channel_sizes(tree: PyTree, graph: ChannelGraph) -> dict[str, int]:
    """Count the channels of every group.

    Args:
      tree: Parameters, variables or a mask.
      graph: The network's channel graph.

    Returns:
      Group names to sizes.

    Raises:
      ValueError: If a leaf of the graph is missing, or its axis does not fit its group.

    Example:
      >>> graph = {'hidden': ChannelGroup([('a', 1)], [('b', 0)])}
      >>> channel_sizes({'a': np.zeros((3, 8)), 'b': np.zeros((8, 2))}, graph)
      {'hidden': 8}
    """
    leaves = leaves_by_name(tree)
    sizes = {}
    for name, group in graph.items():
        if not group.writers:
            raise ValueError(f"graph: group {name!r} has no writer; leave the network's inputs out")
        first, *rest = axes_of(group)
        size = _entries(leaves, name, first)
        readers = readers_of(group)
        for axis in rest:
            entries = _entries(leaves, name, axis)
            fits = entries == size
            if axis in readers and axis.positions is None:
                fits = entries % size == 0 and entries >= size
            if not fits:
                raise ValueError(
                    f"graph: group {name!r} has {size} channels by {first.leaf!r}, axis {first.axis}, but {entries} by "
                    f"{axis.leaf!r}, axis {axis.axis}"
                )
        sizes[name] = size
    return sizes


def permute_channels(tree: PyTree, graph: ChannelGraph, permutations: Mapping[str, jax.Array]) -> PyTree:
    """Permute the channels of groups; the network computes the same.

    Args:
      tree: Parameters, variables or a mask.
      graph: The network's channel graph.
      permutations: Group names to permutations `[C]`: the new channel `i` is the old channel `permutation[i]`.

    Returns:
      A tree of the same structure and shapes.

    Raises:
      ValueError: If the graph does not fit the tree.

    Example:
      >>> graph = {'hidden': ChannelGroup([('a', 1)], [('b', 0)])}
      >>> tree = {'a': jnp.array([[1.0, 2.0]]), 'b': jnp.array([[3.0], [4.0]])}
      >>> swapped = permute_channels(tree, graph, {'hidden': jnp.array([1, 0])})
      >>> swapped['a'].tolist(), swapped['b'].tolist()
      ([[2.0, 1.0]], [[4.0], [3.0]])
    """
    channel_sizes(tree, graph)
    leaves = leaves_by_name(tree)
    for name, permutation in permutations.items():
        for axis in axes_of(graph[name]):
            leaf = leaves[axis.leaf]
            order = _order(np.shape(leaf)[axis.axis], axis.positions, jnp.asarray(permutation))
            leaves[axis.leaf] = jnp.take(leaf, order, axis.axis)
    return as_tree(list(leaves.values()), tree)


def check_channels(
    apply: Callable[[PyTree, Any], Any], variables: PyTree, graph: ChannelGraph, inputs: Any, key: jax.Array
) -> None:
    """Verify a channel graph: permute every group at random, and compare what the network computes.

    This verifies axes. It does not verify the activations, the epsilon of a BatchNorm, and the order of the steps after
    a kernel: to verify these, set the incoming weights of a channel to zero, shrink, and compare.

    Vectors are first moved away from their initial values by random numbers: where all biases are zero, a permutation
    that leaves one out would not show. Groups without readers are outputs, and are not permuted.

    Args:
      apply: `(variables, inputs) -> outputs`, compiled once; outputs are any pytree.
      variables: Parameters, or variables with batch statistics.
      graph: The graph to verify.
      inputs: Inputs of the network.
      key: A PRNG key, for the permutations.

    Raises:
      ValueError: Naming the group, if outputs change by more than 1e-5 of the largest, or the graph does not fit.

    Example:
      >>> network = lambda params, x: jnp.tanh(x @ params['a'] + params['bias']) @ params['b']
      >>> params = {'a': jnp.eye(3), 'b': jnp.eye(3), 'bias': jnp.zeros(3)}
      >>> graph = {'hidden': ChannelGroup([('a', 1, ['bias', jnp.tanh])], [('b', 0)])}
      >>> check_channels(network, params, graph, jnp.ones((1, 3)), jax.random.key(0))
      >>> wrong = {'hidden': ChannelGroup([('a', 1)], [('b', 0)])}
      >>> check_channels(network, params, wrong, jnp.ones((1, 3)), jax.random.key(0))
      Traceback (most recent call last):
      ValueError: graph: permuting group 'hidden' changes the outputs; a leaf is missing or an axis is wrong
    """
    sizes = channel_sizes(variables, graph)
    key, moving = jax.random.split(key)
    moved = _move_vectors(variables, moving)
    compute = jax.jit(apply)
    outputs = jax.tree.leaves(compute(moved, inputs))
    for number, (name, group) in enumerate(graph.items()):
        if not group.readers:
            continue
        permutation = jax.random.permutation(jax.random.fold_in(key, number), sizes[name])
        if jnp.array_equal(permutation, jnp.arange(sizes[name])):
            permutation = jnp.roll(permutation, 1)
        permuted = jax.tree.leaves(compute(permute_channels(moved, graph, {name: permutation}), inputs))
        for before, after in zip(outputs, permuted, strict=True):
            if not np.max(np.abs(before - after)) <= 1e-5 * np.max(np.abs(before)):
                raise ValueError(
                    f"graph: permuting group {name!r} changes the outputs; a leaf is missing or an axis is wrong"
                )


def _vectors(writer: Writer) -> Iterator[str]:
    """List the leaves `[C]` of the steps after a kernel."""
    for step in writer.then:
        if isinstance(step, str):
            yield step
        elif isinstance(step, BatchNorm):
            for leaf in (step.mean, step.var, step.scale, step.bias):
                if leaf is not None:
                    yield leaf


def _entries(leaves: Mapping[str, Any], name: str, axis: Axis) -> int:
    """Count the entries along an axis that belong to its group."""
    if axis.leaf not in leaves:
        raise ValueError(f"graph: group {name!r} has {axis.leaf!r}, which is not a leaf; the leaves are {list(leaves)}")
    shape = np.shape(leaves[axis.leaf])
    if not -len(shape) <= axis.axis < len(shape):
        raise ValueError(f"graph: group {name!r} has axis {axis.axis} of {axis.leaf!r}, whose shape is {shape}")
    return shape[axis.axis] if axis.positions is None else len(axis.positions)


def _order(entries: int, positions: tuple[int, ...] | None, permutation: jax.Array) -> jax.Array:
    if positions is None:
        return jnp.arange(entries).reshape(-1, len(permutation))[:, permutation].ravel()
    places = jnp.asarray(positions)
    return jnp.arange(entries).at[places].set(places[permutation])


def _move_vectors(tree: PyTree, key: jax.Array) -> PyTree:
    leaves = []
    for number, leaf in enumerate(jax.tree.leaves(tree)):
        if jnp.ndim(leaf) == 1 and jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            leaf = leaf + jax.random.uniform(jax.random.fold_in(key, number), leaf.shape, leaf.dtype, 0.0, 0.5)
        leaves.append(leaf)
    return as_tree(leaves, tree)
