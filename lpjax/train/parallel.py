"""Data parallelism: one program on many devices, with sharded batches and everything else replicated."""

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
    """Make a mesh with the single axis `'data'`.

    Args:
      devices: The devices; by default all devices of all processes.

    Returns:
      A one-axis mesh with automatic axis types.
    """
    if devices is None:
        devices = jax.devices()
    return Mesh(np.array(devices), (AXIS,))


def replicate(tree: T, mesh: Mesh) -> T:
    """Replicate a pytree of arrays over all devices of a mesh.

    With several processes, each process copies its own arrays to its own devices without communication, so all must
    hold equal arrays. (`jax.device_put` would broadcast every array from the first process and compare.)

    Args:
      tree: Host or device arrays, numbers, or typed keys; equal in all processes.
      mesh: The devices.

    Returns:
      The replicated tree. An array that is on a device already may share its buffer with the copy there.
    """
    replicated = NamedSharding(mesh, P())
    if replicated.is_fully_addressable:
        return jax.device_put(tree, replicated)

    def replicate_leaf(leaf: Any) -> jax.Array:
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
            return jax.device_put(leaf, replicated)
        copies = [jax.device_put(leaf, device) for device in mesh.local_devices]
        return jax.make_array_from_single_device_arrays(np.shape(leaf), replicated, copies)

    return jax.tree.map(replicate_leaf, tree)


def data_parallel(step: Step, mesh: Mesh, *, replicated_data: bool = True) -> Step:
    """Map a per-device step over a mesh and compile it; the buffers of the state are donated.

    `jax.pmap(step, axis_name='data')` runs the same function with bit-identical results.

    Args:
      step: A step built with `axis_name='data'`.
      mesh: One axis, `'data'`.
      replicated_data: If True, every device holds all data, and indexes them. If False, data and indices are sharded
        alike along the image axis, for a step built with `take=identity_batch`.

    Returns:
      A step over global batches. If the number of devices does not divide a batch, every device computes the full
      batch: the results are the same, but the step takes longer.
    """

    def parallel_step(
        state: TrainState, data: Batch, indices: jax.Array, key: jax.Array
    ) -> tuple[TrainState, StepMetrics]:
        indices_spec = P()
        data_spec = P()
        if indices.shape[-1] % mesh.size == 0:
            indices_spec = P(*[None] * (indices.ndim - 1), AXIS)
            if not replicated_data:
                data_spec = P(AXIS)
        # With check_vma=True, the default of shard_map, a pmean of gradients can be too large by the device count.
        per_device = jax.shard_map(
            step, mesh=mesh, in_specs=(P(), data_spec, indices_spec, P()), out_specs=(P(), P()), check_vma=False
        )
        return per_device(state, data, indices, key)

    return jax.jit(parallel_step, donate_argnums=0)
