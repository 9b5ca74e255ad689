"""Reading of TFDS directories into memory."""

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
    """A split of a data set, read on demand.

    Attributes:
      size: Number of images.
      read: `(start, stop)` to the images and labels of these rows in stored order, numpy arrays.
    """

    size: int
    read: Callable[[int, int], Batch]


class Source(NamedTuple):
    """A data set that is read on demand.

    Attributes:
      classes: Number of classes.
      train: The training split, including the images to be held out.
      test: The test split.
    """

    classes: int
    train: Split
    test: Split


def open_directory(directory: Path) -> Source:
    """Opens a prepared image-classification data set.

    Args:
      directory: A TFDS directory in ArrayRecord format, with splits `train` and `test` (`validation` if there is
        no `test`).

    Returns:
      The source. Pillow always decodes the images, in threads, so that pixels are the same on every machine.

    Raises:
      DataError: If it does not hold 8-bit images with one label each, or is in another format; when read, if it is
        corrupt, or its images have different shapes.
    """
    builder, keys, classes = open_builder(directory)
    test = test_split(directory, builder)
    return Source(classes, _split(directory, builder, keys, "train"), _split(directory, builder, keys, test))


def open_split(directory: Path, split: str) -> Split:
    """Opens one split of a prepared image-classification data set.

    Args:
      directory: As for `open_directory`.
      split: Name of the split.

    Returns:
      The split.

    Raises:
      DataError: As for `open_directory`, or if the split does not exist.
    """
    builder, keys, _ = open_builder(directory)
    if split not in builder.info.splits:
        raise DataError(f"{directory} has no {split} split; it has {sorted(builder.info.splits)}")
    return _split(directory, builder, keys, split)


def test_split(directory: Path, builder: Any) -> str:
    """Returns the name of the test split.

    Args:
      directory: A TFDS directory.
      builder: From `open_builder`.

    Returns:
      `'test'`, or `'validation'` if there is no `'test'`.

    Raises:
      DataError: If there is neither, or there is no `'train'`.
    """
    splits = builder.info.splits
    test = "test" if "test" in splits else "validation"
    if missing := {"train", test} - set(splits):
        raise DataError(f"{directory} has no {' and no '.join(sorted(missing))} split; it has {sorted(splits)}")
    return test


def open_builder(directory: Path) -> tuple[Any, tuple[str, str], int]:
    """Opens a TFDS directory and checks that it is an image-classification data set.

    Args:
      directory: The TFDS directory.

    Returns:
      The TFDS builder, the feature names of image and label, and the number of classes.

    Raises:
      DataError: If it does not hold 8-bit images with one label each, or is in another format.
    """
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(directory)
    features = dict(builder.info.features.items())
    keys = (builder.info.supervised_keys or ("image", "label"))[:2]
    image, label = (features.get(key) for key in keys)
    if not isinstance(image, tfds.features.Image) or not isinstance(label, tfds.features.ClassLabel):
        raise DataError(f"{directory}: got features {sorted(features)}, expected images with one label each")
    if image.np_dtype != np.uint8:
        raise DataError(f"{directory}: got pixels of {np.dtype(image.np_dtype)}, expected uint8")
    file_format = builder.info.file_format.value
    if file_format != "array_record":
        raise DataError(
            f"{directory}: got format {file_format}, which requires TensorFlow, expected array_record; convert it, or "
            f"give another data_dir and prepare it there"
        )
    return builder, keys, label.num_classes


def _split(directory: Path, builder: Any, keys: tuple[str, str], split: str) -> Split:
    import tensorflow_datasets as tfds

    stored = builder.as_data_source(split, decoders={keys[0]: tfds.decode.SkipDecoding()})
    channels = builder.info.features[keys[0]].shape[-1] or 3

    def read(start: int, stop: int) -> Batch:
        try:
            return _decode(directory, stored, keys, channels, start, stop)
        except (OSError, RuntimeError) as error:  # ArrayRecord raises RuntimeError for missing or truncated files
            raise DataError(f"{directory} is broken ({error}); remove it and prepare it again") from error

    return Split(len(stored), read)


def _decode(directory: Path, stored: Any, keys: tuple[str, str], channels: int, start: int, stop: int) -> Batch:
    shape = decode_image(stored[0][keys[0]], channels).shape
    images: Any = np.empty((stop - start, *shape), np.uint8)
    labels: Any = np.empty(stop - start, np.int32)

    def decode_chunk(begin: int) -> None:
        rows = range(begin, min(begin + _CHUNK, stop))
        for row, example in zip(rows, stored.__getitems__(rows), strict=True):
            pixels = decode_image(example[keys[0]], channels)
            if pixels.shape != shape:
                raise DataError(
                    f"{directory} has images of shapes {shape} and {pixels.shape}; "
                    "resize all images to one shape, or stream them (stream.size=224)"
                )
            images[row - start] = pixels
            labels[row - start] = example[keys[1]]

    with ThreadPoolExecutor() as threads:
        for _ in threads.map(decode_chunk, range(start, stop, _CHUNK)):
            pass
    return Batch(images, labels)
