"""Where images come from."""

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
    """Finds a data set; an official archive is prepared on first use.

    Args:
      name: `'digits'`, a name of `ARCHIVES`, or an image-classification set that lies prepared in `data_dir`:
        `'set'`, `'set/config'` or `'set:version'`.
      data_dir: Where TFDS directories lie; empty for TFDS's own default.

    Returns:
      The source.

    Raises:
      DataError: If the data are not there and cannot be had, or are no labeled images.
      ValueError: If the name is unknown.

    Example:
      >>> source = open_source('digits')
      >>> source.classes, source.train.size, source.test.size
      (10, 1000, 797)
    """
    return _digits() if name == "digits" else open_directory(find_directory(name, data_dir))


def find_directory(name: str, data_dir: str = "") -> Path:
    """Finds the TFDS directory of a data set; an official archive is prepared on first use.

    Args:
      name: As for `open_source`, but not `'digits'`.
      data_dir: Where TFDS directories lie; empty for TFDS's own default.

    Returns:
      The directory.

    Raises:
      DataError: If the data are not there and cannot be had.
      ValueError: If the name is unknown.

    Example:
      >>> find_directory('imagenet2012', '/nowhere')  # doctest: +ELLIPSIS
      Traceback (most recent call last):
      lpjax.data.directory.DataError: imagenet2012 is not in /nowhere; prepare it once where TensorFlow is, ...
    """
    home = data_home(data_dir)
    if name in ARCHIVES and name not in prepared(home):
        prepare_archive(name, home)
    there = prepared(home)
    if name not in there:
        _refuse(name, home, there)
    return there[name]


def _digits() -> Source:
    from sklearn.datasets import load_digits  # slow: several seconds

    pixels, labels = load_digits(return_X_y=True)
    order = pinned_order(map(str, range(len(labels))))
    images = np.rint(pixels.reshape(-1, 8, 8, 1) * (255 / 16)).astype(np.uint8)[order]
    targets = labels.astype(np.int32)[order]
    splits = [slice(None, _DIGITS_TRAIN), slice(_DIGITS_TRAIN, None)]
    return Source(10, *(_resident(images[split], targets[split]) for split in splits))


def _resident(images: Any, labels: Any) -> Split:
    return Split(len(labels), lambda start, stop: Batch(images[start:stop], labels[start:stop]))


def _refuse(name: str, home: Path, there: dict[str, Path]) -> None:
    import tensorflow_datasets as tfds

    if name.partition(":")[0].partition("/")[0] in tfds.list_builders(with_community_datasets=False):
        raise DataError(
            f"{name} is not in {home}; prepare it once where TensorFlow is, `tfds build {name} "
            f"--file_format=array_record --data_dir={home}`, or point at prepared data, --config.data_dir=DIR"
        )
    unversioned = (known for known in there if ":" not in known)
    one_of("data set", name, sorted({"digits", *ARCHIVES, *unversioned}), f"; looked at {home}")
