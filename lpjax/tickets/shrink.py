"""Shrinking: a ticket as a smaller dense network, without the channels that do nothing."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lpjax import sparsity
from lpjax.sparsity.channels import Step, axes_of, prunable_groups, readers_of, writers_of
from lpjax.types import Ticket


class Shrunk(NamedTuple):
    """A smaller network that computes the same.

    Attributes:
      ticket: Parameters (and batch statistics) with their mask, without the removed channels.
      widths: The number of channels of every prunable group, by its name.
    """

    ticket: Ticket
    widths: dict[str, int]


def shrink(ticket: Ticket, graph: sparsity.ChannelGraph) -> Shrunk:
    """Remove the channels whose incoming or outgoing weights are all zero; the network computes the same.

    - A channel whose outgoing weights are zero is removed, whatever it computes.
    - A channel whose incoming weights are zero is constant: what its bias, BatchNorm and activation make of zero. A
      constant of zero is removed. Others are added to the bias, or subtracted from the BatchNorm mean, behind every
      kernel that reads them, if those kernels are matrix products or 1x1 convolutions. A larger kernel sees zeros
      where it reads padding, so there all constants of a group become one channel, exact at the border too.
    - Removing a channel may leave others without weights; this is repeated until nothing is left to remove. A group
      keeps one channel at least. Groups that are not prunable stay whole.

    Shapes depend on values, so this runs on the host in numpy, outside `jit`. BatchNorm statistics are used as they
    are: recalibrate before, not after. A 1x1 convolution is taken to have no padding.

    Args:
      ticket: Zero outside its mask. Its parameters are any pytree, with batch statistics where the graph names them.
      graph: The channel graph; `lpjax.models.channels(module)` has it for the networks of lpjax.

    Returns:
      The smaller ticket, and the widths of its groups. Outputs differ by rounding alone. If there is nothing to
      remove, the ticket is the one given.

    Raises:
      ValueError: If a weight outside the mask is not zero, the graph does not fit, or a group is prunable that should
        not be; see `ChannelGroup`.

    Example:
      >>> params = {'hidden': jnp.array([[1.0, 0.0, 2.0]]), 'bias': jnp.array([0.0, 3.0, 1.0]),
      ...           'out': jnp.array([[1.0], [1.0], [0.0]]), 'out_bias': jnp.zeros(1)}
      >>> graph = {'hidden': sparsity.ChannelGroup([('hidden', 1, ['bias', jax.nn.relu])], [('out', 0)]),
      ...          'out': sparsity.ChannelGroup([('out', 1, ['out_bias'])], prunable=False)}
      >>> small = shrink(Ticket(params, sparsity.full_mask(params)), graph)
      >>> small.widths, small.ticket.params['hidden'].tolist(), small.ticket.params['out_bias'].tolist()
      ({'hidden': 1}, [[1.0]], [3.0])
    """
    sparsity.assert_on_mask(ticket.params, ticket.mask)
    sparsity.channel_sizes(ticket.params, graph)
    groups = prunable_groups(graph)
    mask = sparsity.fit_mask(ticket.mask, ticket.params)
    network = _Network(ticket.params, mask, graph)
    changed = True
    while changed:
        changed = False
        for name, group in groups.items():
            changed |= _shrink_group(network, name, group)
    widths = {name: network.size(group) for name, group in groups.items()}
    if not network.changed:
        return Shrunk(ticket, widths)
    return Shrunk(Ticket(network.rebuild(ticket.params, network.leaves), network.rebuild(mask, network.masks)), widths)


class _Network:
    """The leaves of a ticket on the host, while channels are removed."""

    def __init__(self, params: Any, mask: Any, graph: sparsity.ChannelGraph) -> None:
        names = sparsity.leaf_names(params)
        self.leaves = dict(zip(names, map(np.asarray, jax.tree.leaves(params)), strict=True))
        self.masks = dict(zip(names, map(np.asarray, jax.tree.leaves(mask)), strict=True))
        self.changed: set[str] = set()
        self.writers: dict[str, sparsity.Writer] = {}
        for group in graph.values():
            for writer in writers_of(group):
                self.writers[writer.kernel] = writer

    def size(self, group: sparsity.ChannelGroup) -> int:
        """Count the channels of a group now."""
        writer = writers_of(group)[0]
        return self.leaves[writer.kernel].shape[writer.axis]

    def slices(self, axis: sparsity.Axis, size: int, *, mask: bool = False) -> np.ndarray:
        """View a leaf as `[channels, positions, ...]`, where `...` are its other axes."""
        leaf = (self.masks if mask else self.leaves)[axis.leaf]
        moved = np.moveaxis(leaf, axis.axis, 0)
        return np.moveaxis(moved.reshape(-1, size, *moved.shape[1:]), 1, 0)

    def put(self, axis: sparsity.Axis, slices: np.ndarray, *, mask: bool = False) -> None:
        """Put back what `slices` returned, perhaps with fewer channels."""
        flat = np.moveaxis(slices, 0, 1).reshape(-1, *slices.shape[2:])
        leaves = self.masks if mask else self.leaves
        leaves[axis.leaf] = np.moveaxis(flat, 0, axis.axis).astype(leaves[axis.leaf].dtype)
        self.changed.add(axis.leaf)

    def vector(self, leaf: str) -> np.ndarray:
        """Return a leaf in float64."""
        return self.leaves[leaf].astype(np.float64)

    def add(self, leaf: str, change: np.ndarray) -> None:
        """Add to a vector."""
        self.leaves[leaf] = (self.leaves[leaf] + change).astype(self.leaves[leaf].dtype)
        if self.masks[leaf].ndim:
            self.masks[leaf] = self.masks[leaf] | (self.leaves[leaf] != 0)
        self.changed.add(leaf)

    def rebuild(self, tree: Any, leaves: Mapping[str, np.ndarray]) -> Any:
        """Put leaves into a tree, on the device where it had them there; those that did not change are its own."""
        rebuilt = []
        for name, old in zip(leaves, jax.tree.leaves(tree), strict=True):
            if name not in self.changed:
                rebuilt.append(old)
            elif isinstance(old, jax.Array):
                rebuilt.append(jnp.asarray(leaves[name]))
            else:
                rebuilt.append(leaves[name])
        return sparsity.as_tree(rebuilt, tree)


def _shrink_group(network: _Network, name: str, group: sparsity.ChannelGroup) -> bool:
    """Remove channels of one group; return whether anything changed."""
    size = network.size(group)
    written = [writer.output for writer in writers_of(group)]
    incoming = _has_weights(network, written, size)
    outgoing = _has_weights(network, readers_of(group), size)
    constant = outgoing & ~incoming
    values = np.zeros(size)
    if constant.any():
        values = np.where(constant, _constants(network, group, size), 0.0)
        if not np.isfinite(values).all():
            raise ValueError(f"ticket: a channel of {name!r} without incoming weights is constant, but not finite")

    shifts = {reader: _shift_behind(network, reader) for reader in readers_of(group)}
    remove = ~outgoing | (constant & (values == 0))
    if None not in shifts.values():
        remove |= constant
    elif np.count_nonzero(values) > 1:
        remove |= _merge_constants(network, group, values)
    if remove.all():  # one channel stays
        remove[0] = False
    folded = np.where(remove & constant, values, 0.0)
    for reader, shift in shifts.items():
        if shift is not None and None not in shifts.values() and folded.any():
            _fold(network, reader, shift, folded)

    unread = bool(incoming.any() and not outgoing.any())
    if unread:  # the one channel that stays needs no inputs, so that more channels before it can go
        for axis in written:
            _empty(network, axis, size)
    if not remove.any():
        return unread
    for axis in dict.fromkeys(axes_of(group)):
        network.put(axis, network.slices(axis, size)[~remove])
        if network.masks[axis.leaf].ndim:
            network.put(axis, network.slices(axis, size, mask=True)[~remove], mask=True)
    return True


def _has_weights(network: _Network, axes: list[sparsity.Axis], size: int) -> np.ndarray:
    """Tell which channels have a nonzero weight on any of some axes, `[size]`."""
    found = np.zeros(size, bool)
    for axis in axes:
        found |= _nonzero(network.slices(axis, size))
    return found


def _merge_constants(network: _Network, group: sparsity.ChannelGroup, values: np.ndarray) -> np.ndarray:
    """Give the channel of the largest constant the outgoing weights of all; return which channels others are."""
    one = int(np.argmax(np.abs(values)))
    for reader in readers_of(group):
        _merge(network, reader, values / values[one], one)
    return (values != 0) & (np.arange(len(values)) != one)


def _constants(network: _Network, group: sparsity.ChannelGroup, size: int) -> np.ndarray:
    """Compute what channels without incoming weights are, `[size]`."""
    values = []
    for writer in writers_of(group):
        value = np.zeros(size)
        for step in writer.then:
            value = _after(network, step, value)
        values.append(value.astype(np.float32))
    joined = values[0] if group.join is None else group.join(*values)
    return np.asarray(joined, np.float64)


def _after(network: _Network, step: Step, value: np.ndarray) -> np.ndarray:
    if isinstance(step, str):
        return value + network.vector(step)
    if not isinstance(step, sparsity.BatchNorm):
        return np.asarray(step(value.astype(np.float32)), np.float64)
    value = (value - network.vector(step.mean)) / np.sqrt(network.vector(step.var) + step.epsilon)
    if step.scale is not None:
        value = value * network.vector(step.scale)
    if step.bias is not None:
        value = value + network.vector(step.bias)
    return value


def _shift_behind(network: _Network, reader: sparsity.Axis) -> tuple[str, int] | None:
    """Find what can take up a constant behind a kernel: a bias and 1, or a BatchNorm mean and -1."""
    writer = network.writers.get(reader.leaf)
    if writer is None or not writer.then:
        return None
    shape = list(network.leaves[reader.leaf].shape)
    shape[reader.axis] = 1
    shape[writer.axis] = 1
    if np.prod(shape) > 1:  # a kernel that reads several positions, and padding at the border
        return None
    first = writer.then[0]
    if isinstance(first, str):
        return first, 1
    if isinstance(first, sparsity.BatchNorm):
        return first.mean, -1
    return None


def _fold(network: _Network, reader: sparsity.Axis, shift: tuple[str, int], values: np.ndarray) -> None:
    """Add what constant channels contribute to the bias, or to the mean, behind the kernel that reads them."""
    leaf, sign = shift
    kernels = network.slices(reader, len(values)).astype(np.float64)
    network.add(leaf, sign * np.tensordot(values, kernels.sum(1), 1).ravel())


def _merge(network: _Network, reader: sparsity.Axis, weights: np.ndarray, one: int) -> None:
    """Give one channel the outgoing weights of several: their sum by the given weights."""
    kernels = network.slices(reader, len(weights)).copy()
    kernels[one] = np.tensordot(weights, kernels.astype(np.float64), 1)
    network.put(reader, kernels)
    if network.masks[reader.leaf].ndim:
        masks = network.slices(reader, len(weights), mask=True).copy()
        masks[one] = masks[weights != 0].any(0)
        network.put(reader, masks, mask=True)


def _empty(network: _Network, writer: sparsity.Axis, size: int) -> None:
    """Remove all weights of a kernel."""
    network.put(writer, np.zeros_like(network.slices(writer, size)))
    if network.masks[writer.leaf].ndim:
        network.put(writer, np.zeros_like(network.slices(writer, size, mask=True)), mask=True)


def _nonzero(slices: np.ndarray) -> np.ndarray:
    """Tell which channels have a nonzero weight."""
    return np.any(slices.reshape(len(slices), -1), axis=1)
