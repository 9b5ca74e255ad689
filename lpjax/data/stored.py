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
    builder, keys, classes = open_builder(directory)
    test = test_split(directory, builder)
    return Source(classes, *(_split(directory, builder, keys, split) for split in ("train", test)))


def open_split(directory: Path, split: str) -> Split:
    """Opens one split of an image-classification set that lies prepared, whatever others it has.

    Args:
      directory: As for `open_directory`.
      split: Its name.

    Returns:
      The split.

    Raises:
      DataError: As `open_directory`, or if there is no such split.
    """
    builder, keys, _ = open_builder(directory)
    if split not in builder.info.splits:
        raise DataError(f"{directory} has no {split} split; it has {sorted(builder.info.splits)}")
    return _split(directory, builder, keys, split)


def test_split(directory: Path, builder: Any) -> str:
    """Names the split that reports.

    Args:
      directory: A TFDS directory.
      builder: From `open_builder`.

    Returns:
      `'test'`, or `'validation'` where there is no such.

    Raises:
      DataError: If there is neither, or no `'train'`.
    """
    splits = builder.info.splits
    test = "test" if "test" in splits else "validation"
    if missing := {"train", test} - set(splits):
        raise DataError(f"{directory} has no {' and no '.join(sorted(missing))} split; it has {sorted(splits)}")
    return test


def open_builder(directory: Path) -> tuple[Any, tuple[str, str], int]:
    """Opens a TFDS directory and sees that it can be used.

    Args:
      directory: The TFDS directory.

    Returns:
      TFDS's builder, the names of image and label, and the number of classes.

    Raises:
      DataError: If it holds no images of 8 bits with one label each, or is in another format.
    """
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(directory)
    features = dict(builder.info.features.items())
    keys = (builder.info.supervised_keys or ("image", "label"))[:2]
    image, label = (features.get(key) for key in keys)
    if not isinstance(image, tfds.features.Image) or not isinstance(label, tfds.features.ClassLabel):
        raise DataError(f"{directory} is no set of images with one label each; it holds {sorted(features)}")
    if image.np_dtype != np.uint8:
        raise DataError(f"{directory} has pixels of {np.dtype(image.np_dtype)}; wanted 8 bits")
    if (stored_as := builder.info.file_format.value) != "array_record":
        raise DataError(
            f"{directory} is stored as {stored_as}, which needs TensorFlow to read; convert it to "
            f"array_record, or give another data_dir and prepare it there"
        )
    return builder, keys, label.num_classes


def _split(directory: Path, builder: Any, keys: tuple[str, str], split: str) -> Split:
    import tensorflow_datasets as tfds

    stored = builder.as_data_source(split, decoders={keys[0]: tfds.decode.SkipDecoding()})
    channels = builder.info.features[keys[0]].shape[-1] or 3

    def read(start: int, stop: int) -> Batch:
        try:
            return _decode(directory, stored, keys, channels, start, stop)
        except (OSError, RuntimeError) as error:  # ArrayRecord raises the latter when files lack or are cut short
            raise DataError(f"{directory} is broken ({error}); remove it and prepare it again") from error

    return Split(len(stored), read)


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
                    f"{directory} has images of shapes {shape} and {pixels.shape}; "
                    "resize them all to one shape, or stream them (stream.size=224)"
                )
            images[row - start], labels[row - start] = pixels, example[keys[1]]

    with ThreadPoolExecutor() as threads:
        for _ in threads.map(fill, range(start, stop, _CHUNK)):
            pass
    return Batch(images, labels)
