"""Streaming of images that do not fit in memory: reading, decoding and cropping while the device computes."""

import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, nullcontext
from typing import Any, NamedTuple

import numpy as np

from lpjax.data.crop import Crop, center_crop, random_crop
from lpjax.data.directory import DataError
from lpjax.data.stored import ImageSplit, read_image
from lpjax.data.workers import blocked_signals, end_with_parent, finish_deletions
from lpjax.types import Batch

THREADS = min(32, os.cpu_count() or 1)
"""Number of threads that read and decode; more threads than cores are not faster."""


class ImageLoader(NamedTuple):
    """Loads the image of a row, with a result that does not depend on threads, processes or the order of rows.

    Attributes:
      split: The split that rows index.
      crop: How images are cropped.
      key: Integers that determine the random crop together with the row; None for the center crop.
    """

    split: ImageSplit
    crop: Crop
    key: tuple[int, ...] | None = None

    def __call__(self, row: int) -> tuple[np.ndarray, np.int32]:
        """Read, decode and crop an image.

        Args:
          row: Index of the image in stored order.

        Returns:
          `[size, size, C]`, uint8, and the label.
        """
        image, label = read_image(self.split, int(row))
        if self.key is None:
            return center_crop(image, self.crop), np.int32(label)
        generator = np.random.default_rng((*self.key, int(row)))
        return random_crop(image, self.crop, generator), np.int32(label)


def read_ahead(
    loader: ImageLoader, batches: Sequence[np.ndarray], *, workers: int = 0, prefetch: int = 2
) -> Generator[Batch, None, None]:
    """Read batches ahead of their use, in threads or in processes.

    The images depend only on `loader` and `batches`: a stream that starts at the batch where another stopped continues
    it bit-identically, for any `workers`. Threads and processes end when the generator is closed or this process is
    killed. Every call spawns new processes, which takes 5 to 20 seconds, so processes are useful only if a call reads
    for many minutes. A script that uses processes needs the guard `if __name__ == '__main__'`. Threads use all cores,
    because Pillow and ArrayRecord release the interpreter lock.

    Args:
      loader: Rows to images and labels.
      batches: Arrays of rows, one per batch, all of the same length except for the last.
      workers: Number of processes, each of which decodes full batches; 0 for threads of this process.
      prefetch: Number of batches read ahead; with processes at least one per process.

    Yields:
      Images `[B, size, size, C]`, uint8, and labels `[B]`, int32; numpy arrays.

    Raises:
      DataError: If a record or an image is corrupt, or reading failed, e.g. because a process was killed.

    Example:
      >>> next(read_ahead(ImageLoader(None, None), []), None) is None
      True
    """
    if not batches:
        return
    size = len(batches[0])
    try:
        source = pipeline(loader, np.concatenate(batches), size, workers=workers, prefetch=prefetch)
        yield from _regroup(source, batches, blocked_signals if workers else nullcontext)
    except DataError:
        raise
    except Exception as error:
        message = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise DataError(
            f"images cannot be read ahead ({message}); if memory ran out, set fewer stream.workers or a smaller "
            "stream.prefetch; run the same command again"
        ) from error
    finally:
        if workers:
            finish_deletions()


def _regroup(
    source: Any, batches: Sequence[np.ndarray], starting: Callable[[], AbstractContextManager[None]]
) -> Generator[Batch, None, None]:
    """Join the pipeline's batches, since the last batch may be longer than the others."""
    with closing(iter(source)) as parts:
        for rows in batches:
            images = []
            labels = []
            with starting():  # Grain starts its processes when the first part is requested
                for _ in range(0, len(rows), len(batches[0])):
                    part_images, part_labels = next(parts)
                    images.append(part_images)
                    labels.append(part_labels)
            yield _batch(np.concatenate(images), np.concatenate(labels))  # copies out of shared memory


def pipeline(loader: ImageLoader, rows: np.ndarray, size: int, *, workers: int = 0, prefetch: int = 2) -> Any:
    """Build the Grain pipeline of `read_ahead`: an `IterDataset` of the images and labels of `size` rows at a time."""
    import grain

    images = grain.MapDataset.source(rows).map(loader)
    if not workers:
        return images.to_iter_dataset(grain.ReadOptions(THREADS, max(prefetch * size, THREADS))).batch(size)
    _parse_flags()
    ahead = -(-prefetch // workers)
    options = grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=ahead)
    # Processes decode full batches; with parts of batches, the order would depend on the number of processes.
    return images.batch(size).to_iter_dataset(grain.ReadOptions(1, 1)).mp_prefetch(options, end_with_parent)


def decode(loader: ImageLoader, rows: Sequence[int]) -> Batch:
    """Read images into memory.

    Args:
      loader: Rows to images and labels.
      rows: `N` rows.

    Returns:
      Images `[N, size, size, C]`, uint8, and labels `[N]`, int32; numpy arrays.

    Raises:
      DataError: If a record or an image is corrupt.
    """
    side = loader.crop.size
    images = np.empty((len(rows), side, side, loader.split.channels), np.uint8)
    labels = np.empty(len(rows), np.int32)

    def load_into(index: int) -> None:
        images[index], labels[index] = loader(rows[index])

    with ThreadPoolExecutor(THREADS) as threads:
        for _ in threads.map(load_into, range(len(rows))):
            pass
    return _batch(images, labels)


class LazyImages:
    """Images of a split, center-cropped, that are decoded whenever a slice of them is taken."""

    dtype = np.dtype(np.uint8)

    def __init__(self, split: ImageSplit, crop: Crop) -> None:
        self._loader = ImageLoader(split, crop)
        self.shape = (split.size, crop.size, crop.size, split.channels)

    def __getitem__(self, rows: slice) -> Any:
        return decode(self._loader, range(self.shape[0])[rows]).images


def _batch(images: Any, labels: Any) -> Batch:
    return Batch(images, labels)


def _parse_flags() -> None:
    """Mark absl's flags as parsed for Grain's processes; they are not parsed where lpjax is used as a library."""
    from absl import flags

    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()
