"""What devices share besides training: the images of a batch, or the elements of a `lax.map`."""

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P
from jax.tree_util import Partial

from lpjax.train.parallel import AXIS

T = TypeVar("T")


def spread(function: Callable[[jax.Array, str | None], T], mesh: Mesh | None) -> Callable[[jax.Array], T]:
    """Spreads every batch that a function is given over devices.

    Args:
      function: `(batch [B, ...], axis_name) -> result`. Of its share of a batch alone, and the name of the mapped axis,
        it makes what is the same on every device; `axis_name` is None where it is given the whole batch. Arrays that
        it holds, and that lie on the mesh, are leaves of it as a pytree: a `jax.tree_util.Partial`.
      mesh: One axis, `'data'`; None for the device that the arrays are on.

    Returns:
      `batch -> result`. A batch that the devices do not divide is computed whole by each. On one device, and without a
      mesh, it is the function itself.

    Example:
      >>> def mean(batch, axis_name):
      ...     return batch.mean() if axis_name is None else lax.pmean(batch.mean(), axis_name)
      >>> float(spread(mean, Mesh(jax.devices(), ('data',)))(jnp.arange(16.0)))
      7.5
    """

    def whole_or_spread(batch: jax.Array) -> T:
        if mesh is None or mesh.size == 1 or batch.shape[0] % mesh.size:
            return function(batch, None)

        def on_share(function: Callable[[jax.Array, str | None], T], share: jax.Array) -> T:
            return function(share, AXIS)

        spread_out = jax.shard_map(on_share, mesh=mesh, in_specs=(P(), P(AXIS)), out_specs=P(), check_vma=False)
        return spread_out(as_pytree(function), batch)

    return whole_or_spread


@cache
def deal(mesh: Mesh) -> Callable[..., Any]:
    """Makes a `lax.map` that deals its elements out to devices, each of which computes its own whole.

    Nothing passes between devices before the results do. Elements that the devices do not divide are filled up with
    copies of the last, whose results are dropped: `n` devices take the time of `ceil(k / n)` elements.

    Args:
      mesh: One axis, `'data'`.

    Returns:
      `map(function, xs, *, batch_size=None) -> ys`, like `lax.map`, with `ys` on every device; `lax.map` itself where
      there is one device. Arrays that the function holds, and that lie on the mesh, are leaves of it as a pytree: a
      `jax.tree_util.Partial`.

    Example:
      >>> deal(Mesh(jax.devices(), ('data',)))(lambda x: x * x, jnp.arange(3)).tolist()
      [0, 1, 4]
    """
    if mesh.size == 1:
        return lax.map

    def mapped(function: Callable[[Any], T], xs: Any, *, batch_size: int | None = None) -> T:
        def hand(function: Callable[[Any], T], xs: Any) -> T:
            ys = lax.map(function, xs, batch_size=batch_size)
            return lax.all_gather(ys, AXIS, tiled=True)

        size = len(jax.tree.leaves(xs)[0])
        shared_out = jax.shard_map(hand, mesh=mesh, in_specs=(P(), P(AXIS)), out_specs=P(), check_vma=False)
        return jax.tree.map(lambda y: y[:size], shared_out(as_pytree(function), fill(xs, mesh.size)))

    return mapped


def as_pytree(function: Callable[..., T]) -> Callable[..., T]:
    """Turns a function into an argument of mapped functions; what a `Partial` holds are its leaves.

    What they close over instead is unknown to `shard_map`, and lies on another mesh as far as JAX can tell: a gather
    from it is refused.

    Args:
      function: Any.

    Returns:
      The `Partial` that it is, or one without leaves.

    Example:
      >>> jax.tree.leaves(as_pytree(Partial(max, 3))), jax.tree.leaves(as_pytree(max))
      ([3], [])
    """
    return function if isinstance(function, Partial) else Partial(function)


def fill(tree: T, multiple: int) -> T:
    """Lengthens arrays to a multiple by repeating their last element.

    Args:
      tree: Arrays `[N, ...]`, N at least 1.
      multiple: Of what N shall be one.

    Returns:
      The tree, `[M, ...]`: M is the smallest multiple that is at least N.

    Example:
      >>> fill(jnp.array([1, 2, 3]), 2).tolist()
      [1, 2, 3, 3]
    """

    def longer(leaf: jax.Array) -> jax.Array:
        return jnp.pad(leaf, [(0, -len(leaf) % multiple)] + [(0, 0)] * (leaf.ndim - 1), mode="edge")

    return jax.tree.map(longer, tree)
