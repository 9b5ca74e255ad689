"""Data sets that lie prepared as TFDS directories."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lpjax.data.directory import DataError
from lpjax.data.png import decode_image
from lpjax.types import Batch

_CHUNK = 500  # images a thread decodes at a time


class Split(NamedTuple):
    """A part of a data set, read on demand.

    Attributes:
      size: Number of images.
      read: `(start, stop)` to those images and labels, numpy arrays in stored order.
    """

    size: int
    read: Callable[[int, int], Batch]


class Source(NamedTuple):
    """A data set, nothing of which is read yet.

    Attributes:
      classes: Number of classes.
      train: The training split, what is to be held out included.
      test: The test split.
    """

    classes: int
    train: Split
    test: Split


def open_directory(directory: Path) -> Source:
    """Opens an image-classification set that lies prepared.

    Args:
      directory: A TFDS directory in ArrayRecord format, with splits `train` and `test` (or else `validation`).

    Returns:
      The source. Pillow decodes, in threads, whatever else is installed, so that pixels are the same everywhere.

    Raises:
      DataError: If it holds no images of 8 bits with one label each, is in another format, or (when read) broken or
        of images of different shapes.
    """
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(directory)
    features, splits = dict(builder.info.features.items()), builder.info.splits
    keys = builder.info.supervised_keys or ("image", "label")
    image, label = (features.get(key) for key in keys[:2])
    if not isinstance(image, tfds.features.Image) or not isinstance(label, tfds.features.ClassLabel):
        raise DataError(f"{directory} is no set of images with one label each; it holds {sorted(features)}")
    if image.np_dtype != np.uint8:
        raise DataError(f"{directory} has pixels of {np.dtype(image.np_dtype)}; wanted 8 bits")
    test = "test" if "test" in splits else "validation"
    if missing := {"train", test} - set(splits):
        raise DataError(f"{directory} has no {' and no '.join(sorted(missing))} split; it has {sorted(splits)}")
    if (stored_as := builder.info.file_format.value) != "array_record":
        raise DataError(
            f"{directory} is stored as {stored_as}, which needs TensorFlow to read; convert it to "
            f"array_record, or give another data_dir and prepare it there"
        )

    def split(which: str) -> Split:
        stored = builder.as_data_source(which, decoders={keys[0]: tfds.decode.SkipDecoding()})

        def read(start: int, stop: int) -> Batch:
            try:
                return _decode(directory, stored, keys, image.shape[-1] or 3, start, stop)
            except (OSError, RuntimeError) as error:  # ArrayRecord raises the latter when files lack or are cut short
                raise DataError(f"{directory} is broken ({error}); remove it and prepare it again") from error

        return Split(len(stored), read)

    return Source(label.num_classes, split("train"), split(test))


def _decode(directory: Path, stored: Any, keys: tuple[str, str], channels: int, start: int, stop: int) -> Batch:
    shape = decode_image(stored[0][keys[0]], channels).shape
    images: Any = np.empty((stop - start, *shape), np.uint8)
    labels: Any = np.empty(stop - start, np.int32)

    def fill(begin: int) -> None:
        rows = range(begin, min(begin + _CHUNK, stop))
        for row, example in zip(rows, stored.__getitems__(rows), strict=True):
            pixels = decode_image(example[keys[0]], channels)
            if pixels.shape != shape:
                raise DataError(
                    f"{directory} has images of shapes {shape} and {pixels.shape}; resize them all to one shape"
                )
            images[row - start], labels[row - start] = pixels, example[keys[1]]

    with ThreadPoolExecutor() as threads:
        for _ in threads.map(fill, range(start, stop, _CHUNK)):
            pass
    return Batch(images, labels)
