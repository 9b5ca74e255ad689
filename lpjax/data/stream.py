"""Images that do not fit in memory: read, decoded and cut out while others are trained on."""

import gc
import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, nullcontext
from typing import Any, NamedTuple

import numpy as np

from lpjax.data.crop import Crop, center_crop, random_crop
from lpjax.data.directory import DataError
from lpjax.data.pictures import Pictures, read_picture
from lpjax.data.workers import deaf, end_with_parent
from lpjax.types import Batch

THREADS = min(32, os.cpu_count() or 1)
"""That read and decode; more than there are cores gain nothing."""


class Load(NamedTuple):
    """Makes one row into pixels and label, with the same outcome in whichever thread, process and order.

    Attributes:
      pictures: What rows are of.
      crop: How images are cut.
      key: Integers that decide, with the row alone, what is cut out; None for the center.
    """

    pictures: Pictures
    crop: Crop
    key: tuple[int, ...] | None = None

    def __call__(self, row: int) -> tuple[np.ndarray, np.int32]:
        """Reads, decodes and cuts.

        Args:
          row: Place of the image in the stored order.

        Returns:
          `[size, size, C]`, uint8, and the label.
        """
        image, label = read_picture(self.pictures, int(row))
        if self.key is None:
            return center_crop(image, self.crop), np.int32(label)
        return random_crop(image, self.crop, np.random.default_rng((*self.key, int(row)))), np.int32(label)


def read_ahead(
    load: Load, batches: Sequence[np.ndarray], *, workers: int = 0, prefetch: int = 2
) -> Generator[Batch, None, None]:
    """Reads batches ahead of their use, in threads or in processes.

    Which images come when is decided by the caller, and what becomes of an image by its row: a stream started anew at
    the batch where another stopped goes on with the same bits, whatever `workers`. Nothing runs on after the generator
    was closed, or after this process was killed. Processes are started afresh (spawned) by every call, which waits for
    them 5 to 20 seconds: they pay only where a call reads for many minutes. A script that asks for some needs the guard
    `if __name__ == '__main__'`. Threads use all cores too, as Pillow and ArrayRecord set the interpreter free.

    Args:
      load: Rows to pixels and labels.
      batches: Rows, an array a batch, as long as the first one, but for the last.
      workers: Processes that decode, every one a batch of its own; 0 for threads of this one.
      prefetch: Batches read ahead; in processes at least one each.

    Yields:
      Images `[B, size, size, C]`, uint8, and labels `[B]`, int32; numpy arrays.

    Raises:
      DataError: If a record or an image is broken, or reading failed, as when the system killed a process.

    Example:
      >>> next(read_ahead(Load(None, None), []), None) is None
      True
    """
    if not batches:
        return
    size = len(batches[0])
    try:
        source = pipeline(load, np.concatenate(batches), size, workers=workers, prefetch=prefetch)
        yield from _cut(source, batches, deaf if workers else nullcontext)
    except DataError:
        raise
    except Exception as error:
        said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise DataError(
            f"images cannot be read ahead ({said}); if memory ran out, give fewer stream.workers or a smaller "
            "stream.prefetch; run the same command again"
        ) from error
    finally:
        if workers:  # Grain's iterators are cycles, which keep the last batch in shared memory
            gc.collect()


def _cut(
    source: Any, batches: Sequence[np.ndarray], starting: Callable[[], AbstractContextManager[None]]
) -> Generator[Batch, None, None]:
    with closing(iter(source)) as parts:
        for rows in batches:
            with starting():  # Grain starts processes when it is first asked
                # A last batch may be longer, where every process computes it whole. A copy sets shared memory free.
                pixels, labels = zip(*(next(parts) for _ in range(0, len(rows), len(batches[0]))), strict=True)
            yield _batch(np.concatenate(pixels), np.concatenate(labels))


def pipeline(load: Load, rows: np.ndarray, size: int, *, workers: int = 0, prefetch: int = 2) -> Any:
    """Builds what Grain runs for `read_ahead`.

    Args:
      load: Rows to pixels and labels.
      rows: `[N]`, all of them, in order.
      size: Rows a batch; the last may be smaller.
      workers: As for `read_ahead`.
      prefetch: As for `read_ahead`.

    Returns:
      A `grain.IterDataset` of `(images, labels)`; its iterators can be asked for their state, set to one, and closed.
    """
    import grain

    images = grain.MapDataset.source(rows).map(load)
    if not workers:
        return images.to_iter_dataset(grain.ReadOptions(THREADS, max(prefetch * size, THREADS))).batch(size)
    _parse_flags()
    ahead = -(-prefetch // workers)
    options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=ahead)
    # A worker is given whole batches, or their order would depend on the number of workers.
    return images.batch(size).to_iter_dataset(grain.ReadOptions(1, 1)).mp_prefetch(options, end_with_parent)


def decode(load: Load, rows: Sequence[int]) -> Batch:
    """Reads images into memory.

    Args:
      load: Rows to pixels and labels.
      rows: `N` rows.

    Returns:
      Images `[N, size, size, C]`, uint8, and labels `[N]`, int32; numpy arrays.

    Raises:
      DataError: If a record or an image is broken.
    """
    side, channels = load.crop.size, load.pictures.channels
    images, labels = np.empty((len(rows), side, side, channels), np.uint8), np.empty(len(rows), np.int32)

    def fill(place: int) -> None:
        images[place], labels[place] = load(rows[place])

    with ThreadPoolExecutor(THREADS) as threads:
        for _ in threads.map(fill, range(len(rows))):
            pass
    return _batch(images, labels)


class OnDemand:
    """Images of a split that are decoded, from the center, every time that a slice of them is taken."""

    dtype = np.dtype(np.uint8)

    def __init__(self, pictures: Pictures, crop: Crop) -> None:
        self._load = Load(pictures, crop)
        self.shape = (pictures.size, crop.size, crop.size, pictures.channels)

    def __getitem__(self, rows: slice) -> Any:
        return decode(self._load, range(self.shape[0])[rows]).images


def _batch(images: Any, labels: Any) -> Batch:
    return Batch(images, labels)


def _parse_flags() -> None:
    """Grain's processes read absl's flags, which nobody has parsed where lpjax is used as a library."""
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
