"""Batches that are read while training, every process's share by itself."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from lpjax import data, train
from lpjax.types import Batch


def streamed(
    pictures: data.ImageSplit, crop: data.Crop, mesh: Mesh, batch_size: int, *, workers: int = 0, prefetch: int = 2
) -> train.Feed:
    """Feeds images that are read and cut out while training.

    What is cut out of an image follows from the epoch's key and its row; so whoever starts at a step, in however many
    processes, goes on with the batches of a run that never stopped.

    Args:
      pictures: The training split.
      crop: How they are cut.
      mesh: The devices: batches are spread over them, or given whole to each if their number does not divide them.
      batch_size: Images a step.
      workers: Processes of this host that decode; 0 for threads.
      prefetch: Batches read ahead, besides the one that lies on the devices before it is asked for.

    Returns:
      The feed: a batch at a time, and its rows.
    """

    def feed(rows: np.ndarray, key: jax.Array) -> Iterator[tuple[Batch, Any]]:
        batches = [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
        here = [batch[share(len(batch), mesh, mesh.local_devices)] for batch in batches]
        load = data.ImageLoader(pictures, crop, tuple(jax.random.key_data(key).ravel().tolist()))
        with closing(data.read_ahead(load, here, workers=workers, prefetch=prefetch)) as source:
            coming = (placed(batch, len(rows), mesh) for batch, rows in zip(source, batches, strict=True))
            with closing(_one_ahead(coming)) as ready:
                for batch, visited in zip(ready, batches, strict=True):
                    yield batch, visited[None]

    return feed


def share(size: int, mesh: Mesh, devices: Any) -> np.ndarray:
    """Tells which places of a batch some devices compute.

    Args:
      size: Images of the batch.
      mesh: All devices.
      devices: Those of one process, of the mesh.

    Returns:
      Places in ascending order, int64; all of them if the mesh does not divide the batch.
    """
    slices = _sharding(size, mesh).devices_indices_map((size,))
    return np.unique(np.concatenate([np.arange(size)[slices[device]] for device in devices]))


def placed(batch: Batch, size: int, mesh: Mesh) -> Batch:
    """Puts this process's share of a batch on its devices.

    Args:
      batch: The images of `share`, on the host.
      size: Images of the whole batch.
      mesh: All devices.

    Returns:
      The whole batch, global arrays.
    """
    sharding = _sharding(size, mesh)
    return jax.tree.map(
        lambda local: jax.make_array_from_process_local_data(sharding, local, (size, *local.shape[1:])), batch
    )


def _one_ahead(source: Iterator[Batch]) -> Generator[Batch, None, None]:
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, source, None)
        while (now := coming.result()) is not None:
            coming = thread.submit(next, source, None)
            yield now


def _sharding(size: int, mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, P() if size % mesh.size else P(train.AXIS))
