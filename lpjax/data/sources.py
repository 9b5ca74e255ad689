"""Lookup of data sets by name."""

from pathlib import Path
from typing import Any

import numpy as np

from lpjax.choices import one_of
from lpjax.data.archives import ARCHIVES, prepare_archive
from lpjax.data.directory import DataError, data_home, pinned_order, prepared
from lpjax.data.stored import Source, Split, open_directory
from lpjax.types import Batch

_DIGITS_TRAIN = 1000


def open_source(name: str, data_dir: str = "") -> Source:
    """Opens a data set by name; an official archive is prepared on first use.

    Args:
      name: `'digits'`, a name of `ARCHIVES`, or an image-classification data set prepared in `data_dir`:
        `'set'`, `'set/config'` or `'set:version'`.
      data_dir: The folder of TFDS directories; empty for the default of TFDS.

    Returns:
      The source.

    Raises:
      DataError: If the data are missing and cannot be downloaded, or are not labeled images.
      UserError: If the name is unknown.

    Example:
      >>> source = open_source('digits')
      >>> source.classes, source.train.size, source.test.size
      (10, 1000, 797)
    """
    if name == "digits":
        return _digits()
    return open_directory(find_directory(name, data_dir))


def find_directory(name: str, data_dir: str = "") -> Path:
    """Finds the TFDS directory of a data set; an official archive is prepared on first use.

    Args:
      name: As for `open_source`, except `'digits'`.
      data_dir: The folder of TFDS directories; empty for the default of TFDS.

    Returns:
      The directory.

    Raises:
      DataError: If the data are missing and cannot be downloaded.
      UserError: If the name is unknown.

    Example:
      >>> find_directory('imagenet2012', '/nowhere')  # doctest: +ELLIPSIS
      Traceback (most recent call last):
      lpjax.data.directory.DataError: imagenet2012 is not in /nowhere; prepare it where TensorFlow is installed, ...
    """
    home = data_home(data_dir)
    if name in ARCHIVES and name not in prepared(home):
        prepare_archive(name, home)
    directories = prepared(home)
    if name not in directories:
        _raise_missing(name, home, directories)
    return directories[name]


def _digits() -> Source:
    from sklearn.datasets import load_digits  # slow: several seconds

    pixels, labels = load_digits(return_X_y=True)
    order = pinned_order(map(str, range(len(labels))))
    images = np.rint(pixels.reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)[order]
    targets = labels.astype(np.int32)[order]
    train = _resident(images[:_DIGITS_TRAIN], targets[:_DIGITS_TRAIN])
    test = _resident(images[_DIGITS_TRAIN:], targets[_DIGITS_TRAIN:])
    return Source(10, train, test)


def _resident(images: Any, labels: Any) -> Split:
    return Split(len(labels), lambda start, stop: Batch(images[start:stop], labels[start:stop]))


def _raise_missing(name: str, home: Path, directories: dict[str, Path]) -> None:
    import tensorflow_datasets as tfds

    if name.partition(":")[0].partition("/")[0] in tfds.list_builders(with_community_datasets=False):
        raise DataError(
            f"{name} is not in {home}; prepare it where TensorFlow is installed, `tfds build {name} "
            f"--file_format=array_record --data_dir={home}`, or give --config.data_dir=DIR with prepared data"
        )
    unversioned = (known for known in directories if ":" not in known)
    one_of("data set", name, sorted({"digits", *ARCHIVES, *unversioned}), f"; searched {home}")
