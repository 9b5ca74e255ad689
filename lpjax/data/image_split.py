"""Splits of TFDS directories whose images are read one by one and may have different sizes."""

import errno
import os
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from lpjax.data.directory import DataError
from lpjax.data.png import open_image
from lpjax.data.sources import find_directory
from lpjax.data.stored import open_builder, test_split
from lpjax.errors import UserError

_CHUNK = 500  # labels read at a time


class ImageSplit(NamedTuple):
    """A split whose images are read one by one. It holds no open files, so it can be sent to other processes.

    Attributes:
      directory: The TFDS directory.
      name: Name of the split.
      size: Number of images.
      channels: 1 (gray) or 3 (color); images are converted.
      classes: Number of classes.
    """

    directory: Path
    name: str
    size: int
    channels: int
    classes: int


def open_image_splits(name: str, data_dir: str = "") -> tuple[ImageSplit, ImageSplit]:
    """Opens a data set whose images need not fit in memory, nor have the same size.

    Args:
      name: An image-classification data set prepared in `data_dir`, or a name of `ARCHIVES`.
      data_dir: The folder of TFDS directories; empty for the default of TFDS.

    Returns:
      The training split, including the images to be held out, and the test split (`validation` if there is no `test`).

    Raises:
      DataError: If the data are missing and cannot be downloaded, or are not labeled images.
      UserError: If the name is unknown, or the data set is always in memory.

    Example:
      >>> open_image_splits('digits')
      Traceback (most recent call last):
      lpjax.errors.UserError: dataset: 'digits' is always in memory and cannot be streamed; set stream.size to 0
    """
    if name == "digits":
        raise UserError("dataset: 'digits' is always in memory and cannot be streamed; set stream.size to 0")
    directory = find_directory(name, data_dir)
    builder, keys, classes = open_builder(directory)
    channels = builder.info.features[keys[0]].shape[-1] or 3

    def image_split(split: str) -> ImageSplit:
        return ImageSplit(directory, split, builder.info.splits[split].num_examples, channels, classes)

    return image_split("train"), image_split(test_split(directory, builder))


def read_image(split: ImageSplit, row: int) -> tuple[Image.Image, int]:
    """Reads and decodes one image.

    Args:
      split: The split.
      row: Index of the image in stored order.

    Returns:
      The image, of mode `'L'` or `'RGB'`, and its label.

    Raises:
      DataError: If the record or the image is corrupt, or could not be read.
    """
    try:
        stored, (image, label) = _opened(split.directory, split.name)
        example = stored[row]
        return open_image(example[image], split.channels), int(example[label])
    except Exception as error:  # ArrayRecord, protocol buffers, TFDS and Pillow raise many types
        raise _data_error(split, f" at image {row} of {split.name}", error) from error


def read_labels(split: ImageSplit) -> np.ndarray:
    """Reads all labels of a split, without decoding images.

    Args:
      split: The split.

    Returns:
      `[N]`, int32.

    Raises:
      DataError: If the data are corrupt, or could not be read.
    """
    labels: list[int] = []
    try:
        stored, (_, label) = _opened(split.directory, split.name)
        for start in range(0, split.size, _CHUNK):
            examples = stored.__getitems__(range(start, min(start + _CHUNK, split.size)))
            labels.extend(example[label] for example in examples)
        return np.array(labels, np.int32)
    except Exception as error:
        raise _data_error(split, "", error) from error


def _data_error(split: ImageSplit, place: str, error: Exception) -> DataError:
    """Distinguishes corrupt data from a system that lacks memory or file descriptors."""
    message = " ".join(str(error).split()) or type(error).__name__
    system_call_failed = "() failed: " in message  # how ArrayRecord reports it
    transient = isinstance(error, MemoryError) or getattr(error, "errno", None) or system_call_failed
    if transient and os.strerror(errno.ENOENT) not in message:
        return DataError(f"{split.directory} could not be read{place} ({message}); run the same command again")
    return DataError(f"{split.directory} is broken{place} ({message}); remove it and prepare it again")


@cache
def _opened(directory: Path, split: str) -> tuple[Any, tuple[str, str]]:
    import tensorflow_datasets as tfds

    builder, keys, _ = open_builder(directory)
    return builder.as_data_source(split, decoders={keys[0]: tfds.decode.SkipDecoding()}), keys
