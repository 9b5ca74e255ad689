"""One program on many devices: batches are spread, everything else is replicated."""

from collections.abc import Sequence
from typing import TypeVar

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

    Args:
      tree: Host or device arrays.
      mesh: The devices.

    Returns:
      The tree, replicated.
    """
    return jax.device_put(tree, NamedSharding(mesh, P()))


def data_parallel(step: Step, mesh: Mesh) -> Step:
    """Maps a per-device step over a mesh and compiles it; the state's buffers are donated.

    The same function runs under `jax.pmap(step, axis_name='data')` unchanged, with the same bits.

    Args:
      step: A step built with `axis_name='data'`.
      mesh: One axis, `'data'`.

    Returns:
      A step over global batches. A batch that the devices do not divide evenly is computed whole by each of them:
      the numbers are the same, the time is not.
    """

    def mapped(state: TrainState, data: Batch, indices: jax.Array, key: jax.Array) -> tuple[TrainState, StepMetrics]:
        even = indices.shape[-1] % mesh.size == 0
        spread = P(*[None] * (indices.ndim - 1), AXIS) if even else P()
        # Under shard_map's own default, check_vma=True, a pmean of gradients can come out times the device count.
        per_device = jax.shard_map(
            step, mesh=mesh, in_specs=(P(), P(), spread, P()), out_specs=(P(), P()), check_vma=False
        )
        return per_device(state, data, indices, key)

    return jax.jit(mapped, donate_argnums=0)
