"""One program on many devices: batches are spread, everything else is replicated."""

from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from lpjax.train.step import Step, StepMetrics, TrainState
from lpjax.types import Batch

AXIS = "data"
T = TypeVar("T")


def mesh_of(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """Lines devices up along the one axis `'data'`.

    Args:
      devices: Those to use; all devices of all processes by default.

    Returns:
      A one-axis mesh with automatic axis types.
    """
    return Mesh(np.array(jax.devices() if devices is None else devices), (AXIS,))


def replicate(tree: T, mesh: Mesh) -> T:
    """Puts a copy of a pytree of arrays on every device.

    In several processes each serves its own devices, and nothing passes between hosts: all must hold the same arrays.
    (`jax.device_put` would send every array of the first host to all others and compare.)

    Args:
      tree: Host or device arrays, numbers, or typed keys; the same in every process.
      mesh: The devices.

    Returns:
      The tree, replicated. What lies on a device already may share its buffer with the copy there.
    """
    everywhere = NamedSharding(mesh, P())
    if everywhere.is_fully_addressable:
        return jax.device_put(tree, everywhere)

    def copies(leaf: Any) -> jax.Array:
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
            return jax.device_put(leaf, everywhere)
        here = [jax.device_put(leaf, device) for device in mesh.local_devices]
        return jax.make_array_from_single_device_arrays(np.shape(leaf), everywhere, here)

    return jax.tree.map(copies, tree)


def data_parallel(step: Step, mesh: Mesh, *, whole: bool = True) -> Step:
    """Maps a per-device step over a mesh and compiles it; the state's buffers are donated.

    The same function runs under `jax.pmap(step, axis_name='data')` unchanged, with the same bits.

    Args:
      step: A step built with `axis_name='data'`.
      mesh: One axis, `'data'`.
      whole: Every device holds all data, and takes what its indices name; if not, data are spread with the indices,
        image by image, as `train_step(..., take=whole)` wants them.

    Returns:
      A step over global batches. A batch that the devices do not divide evenly is computed whole by each of them:
      the numbers are the same, the time is not.
    """

    def mapped(state: TrainState, data: Batch, indices: jax.Array, key: jax.Array) -> tuple[TrainState, StepMetrics]:
        even = indices.shape[-1] % mesh.size == 0
        spread = P(*[None] * (indices.ndim - 1), AXIS) if even else P()
        images = P(AXIS) if even and not whole else P()
        # Under shard_map's own default, check_vma=True, a pmean of gradients can come out times the device count.
        per_device = jax.shard_map(
            step, mesh=mesh, in_specs=(P(), images, spread, P()), out_specs=(P(), P()), check_vma=False
        )
        return per_device(state, data, indices, key)

    return jax.jit(mapped, donate_argnums=0)
