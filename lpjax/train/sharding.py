"""Sharding over devices outside the training step: the images of a batch, or the candidates of a `lax.map`."""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from lpjax.train.parallel import AXIS
from lpjax.types import as_partial

T = TypeVar("T")


def shard_batch(function: Callable[[jax.Array, str | None], T], mesh: Mesh | None) -> Callable[[jax.Array], T]:
    """Shard the batch argument of a function `(batch [B, ...], axis_name) -> result` over the devices of a mesh.

    With an `axis_name`, `batch` is the device's shard, and the function must reduce over that mesh axis so that the
    result is the same on every device. Without a mesh, with a single device, or if the number of devices does not
    divide `B`, the function is called with the full batch and `axis_name=None`. Arrays on the mesh must be arguments
    bound by `jax.tree_util.Partial`, not closed over.

    Example:
      >>> def mean(batch, axis_name):
      ...     return batch.mean() if axis_name is None else lax.pmean(batch.mean(), axis_name)
      >>> float(shard_batch(mean, Mesh(jax.devices(), ('data',)))(jnp.arange(16.0)))
      7.5
    """

    def on_batch(batch: jax.Array) -> T:
        if mesh is None or mesh.size == 1 or batch.shape[0] % mesh.size:
            return function(batch, None)

        def on_shard(function: Callable[[jax.Array, str | None], T], shard: jax.Array) -> T:
            return function(shard, AXIS)

        sharded = jax.shard_map(on_shard, mesh=mesh, in_specs=(P(), P(AXIS)), out_specs=P(), check_vma=False)
        return sharded(as_partial(function), batch)

    return on_batch


@cache
def sharded_map(mesh: Mesh) -> Callable[..., Any]:
    """Make a `lax.map` whose elements are sharded over devices; each device computes its own elements.

    Devices communicate only to gather the results, which are replicated. Elements are padded to a multiple of the
    number of devices with copies of the last one, whose results are discarded: `k` elements on `n` devices take the
    time of `ceil(k / n)`. Arrays on the mesh must be arguments bound by `jax.tree_util.Partial`, not closed over.

    Example:
      >>> sharded_map(Mesh(jax.devices(), ('data',)))(lambda x: x * x, jnp.arange(3)).tolist()
      [0, 1, 4]
    """
    if mesh.size == 1:
        return lax.map

    def map_fn(function: Callable[[Any], T], xs: Any, *, batch_size: int | None = None) -> T:
        def on_shard(function: Callable[[Any], T], xs: Any) -> T:
            ys = lax.map(function, xs, batch_size=batch_size)
            return lax.all_gather(ys, AXIS, tiled=True)

        sharded = jax.shard_map(on_shard, mesh=mesh, in_specs=(P(), P(AXIS)), out_specs=P(), check_vma=False)
        size = len(jax.tree.leaves(xs)[0])
        ys = sharded(as_partial(function), pad_to_multiple(xs, mesh.size))
        return jax.tree.map(lambda y: y[:size], ys)

    return map_fn


def pad_to_multiple(tree: T, multiple: int) -> T:
    """Pad the leading axis of arrays to a multiple by repeating the last element.

    Example:
      >>> pad_to_multiple(jnp.array([1, 2, 3]), 2).tolist()
      [1, 2, 3, 3]
    """

    def pad(leaf: jax.Array) -> jax.Array:
        widths = [(0, 0)] * leaf.ndim
        widths[0] = (0, -len(leaf) % multiple)
        return jnp.pad(leaf, widths, mode="edge")

    return jax.tree.map(pad, tree)
