"""Pictures that lie prepared as TFDS directories, of whatever sizes, read one by one."""

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

_CHUNK = 500  # labels read at a time


class Pictures(NamedTuple):
    """A split whose images are read one by one; these are names alone, so that another process can be told them.

    Attributes:
      directory: Of the data set.
      split: Its name.
      size: Number of images.
      channels: 1 (gray) or 3 (color): images are converted.
      classes: Number of classes.
    """

    directory: Path
    split: str
    size: int
    channels: int
    classes: int


def open_pictures(name: str, data_dir: str = "") -> tuple[Pictures, Pictures]:
    """Finds a data set whose images need not fit in memory, nor be of one size.

    Args:
      name: An image-classification set that lies prepared in `data_dir`, or a name of `ARCHIVES`.
      data_dir: Where TFDS directories lie; empty for TFDS's own default.

    Returns:
      The training split, what is to be held out included, and the test split (or else `validation`).

    Raises:
      DataError: If the data are not there and cannot be had, or are no labeled images.
      ValueError: If the name is unknown, or means images that are in memory already.

    Example:
      >>> open_pictures('digits')
      Traceback (most recent call last):
      ValueError: 'digits' are in memory already and cannot be streamed; give stream.size 0
    """
    if name == "digits":
        raise ValueError("'digits' are in memory already and cannot be streamed; give stream.size 0")
    directory = find_directory(name, data_dir)
    builder, keys, classes = open_builder(directory)
    channels = builder.info.features[keys[0]].shape[-1] or 3
    sizes = {split: builder.info.splits[split].num_examples for split in ("train", test_split(directory, builder))}
    training, test = (Pictures(directory, split, size, channels, classes) for split, size in sizes.items())
    return training, test


def read_picture(pictures: Pictures, row: int) -> tuple[Image.Image, int]:
    """Reads and decodes one image.

    Args:
      pictures: Of what.
      row: Its place in the stored order.

    Returns:
      The image, of mode `'L'` or `'RGB'`, and its label.

    Raises:
      DataError: If the record or the image is broken, or could not be read.
    """
    try:
        stored, (image, label) = _opened(pictures.directory, pictures.split)
        example = stored[row]
        return open_image(example[image], pictures.channels), int(example[label])
    except Exception as error:  # of ArrayRecord, protocol buffers, TFDS, and Pillow, which raises half a dozen kinds
        raise _trouble(pictures, f" at image {row} of {pictures.split}", error) from error


def read_labels(pictures: Pictures) -> np.ndarray:
    """Reads all labels of a split, and decodes no image.

    Args:
      pictures: Of what.

    Returns:
      `[N]`, int32.

    Raises:
      DataError: If the data are broken, or could not be read.
    """
    try:
        stored, (_, label) = _opened(pictures.directory, pictures.split)
        spans = (range(i, min(i + _CHUNK, pictures.size)) for i in range(0, pictures.size, _CHUNK))
        return np.array([example[label] for span in spans for example in stored.__getitems__(span)], np.int32)
    except Exception as error:
        raise _trouble(pictures, "", error) from error


def _trouble(pictures: Pictures, place: str, error: Exception) -> DataError:
    """Tells damaged content from a system that was short of something."""
    said = " ".join(str(error).split()) or type(error).__name__
    refused = isinstance(error, MemoryError) or getattr(error, "errno", None) or "() failed: " in said  # ArrayRecord's
    if refused and os.strerror(errno.ENOENT) not in said:
        return DataError(f"{pictures.directory} could not be read{place} ({said}); run the same command again")
    return DataError(f"{pictures.directory} is broken{place} ({said}); remove it and prepare it again")


@cache
def _opened(directory: Path, split: str) -> tuple[Any, tuple[str, str]]:
    import tensorflow_datasets as tfds

    builder, keys, _ = open_builder(directory)
    return builder.as_data_source(split, decoders={keys[0]: tfds.decode.SkipDecoding()}), keys
