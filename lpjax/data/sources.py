"""Lookup of data sets by name."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lpjax.choices import one_of
from lpjax.data.archives import ARCHIVES, prepare_archive
from lpjax.data.directory import DataError, data_home, pinned_order, prepared
from lpjax.data.stored import ImageSplit, open_splits, read_images
from lpjax.errors import UserError
from lpjax.types import Batch

_DIGITS_TRAIN = 1000


class Split(NamedTuple):
    """A split of a data set that is read into memory on demand.

    Attributes:
      size: Number of images.
      classes: Number of classes.
      read: `(start, stop)` to the images and labels of these rows in stored order, numpy arrays.
    """

    size: int
    classes: int
    read: Callable[[int, int], Batch]


def open_source(name: str, data_dir: str = "") -> tuple[Split, Split]:
    """Open the training split, with the images to be held out, and the test split of a data set; see `load`.

    Example:
      >>> train, test = open_source('digits')
      >>> train.classes, train.size, test.size
      (10, 1000, 797)
    """
    if name in IN_MEMORY:
        return IN_MEMORY[name]()
    train, test = open_splits(find_directory(name, data_dir))
    return _on_disk(train), _on_disk(test)


def open_image_splits(name: str, data_dir: str = "") -> tuple[ImageSplit, ImageSplit]:
    """Open a data set whose images need not fit in memory, nor have the same size.

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
    if name in IN_MEMORY:
        raise UserError(f"dataset: {name!r} is always in memory and cannot be streamed; set stream.size to 0")
    return open_splits(find_directory(name, data_dir))


def find_directory(name: str, data_dir: str = "") -> Path:
    """Find the TFDS directory of a data set that is not `IN_MEMORY`; an official archive is prepared on first use."""
    home = data_home(data_dir)
    if name in ARCHIVES and name not in prepared(home):
        prepare_archive(name, home)
    directories = prepared(home)
    if name not in directories:
        _raise_missing(name, home, directories)
    return directories[name]


def _digits() -> tuple[Split, Split]:
    from sklearn.datasets import load_digits  # slow: several seconds

    pixels, labels = load_digits(return_X_y=True)
    order = pinned_order(map(str, range(len(labels))))
    images = np.rint(pixels.reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)[order]
    targets = labels.astype(np.int32)[order]
    train = _resident(images[:_DIGITS_TRAIN], targets[:_DIGITS_TRAIN], classes=10)
    test = _resident(images[_DIGITS_TRAIN:], targets[_DIGITS_TRAIN:], classes=10)
    return train, test


IN_MEMORY: dict[str, Callable[[], tuple[Split, Split]]] = {"digits": _digits}
"""Data sets that come with a Python package: functions that return the training and the test split."""


def _resident(images: Any, labels: Any, classes: int) -> Split:
    return Split(len(labels), classes, lambda start, stop: Batch(images[start:stop], labels[start:stop]))


def _on_disk(split: ImageSplit) -> Split:
    return Split(split.size, split.classes, partial(read_images, split))


def _raise_missing(name: str, home: Path, directories: dict[str, Path]) -> None:
    import tensorflow_datasets as tfds

    if name.partition(":")[0].partition("/")[0] in tfds.list_builders(with_community_datasets=False):
        raise DataError(
            f"{name} is not in {home}; prepare it where TensorFlow is installed, `tfds build {name} "
            f"--file_format=array_record --data_dir={home}`, or give --config.data_dir=DIR with prepared data"
        )
    unversioned = (known for known in directories if ":" not in known)
    one_of("data set", name, sorted({*IN_MEMORY, *ARCHIVES, *unversioned}), f"; searched {home}")
