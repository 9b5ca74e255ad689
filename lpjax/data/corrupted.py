"""Corrupted test sets: the published ones where they are to be had, else made here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lpjax.choices import one_of
from lpjax.data.corrupt import corrupt
from lpjax.data.directory import DataError, data_home, prepared
from lpjax.data.effects.table import BENCHMARK, EXTRA, SEVERITIES, TABLE
from lpjax.data.stored import open_split
from lpjax.types import Batch

_ALL = (*BENCHMARK, *EXTRA)
_TFDS = "cifar10_corrupted"
_TFDS_NAMES = {"glass_blur": "frosted_glass_blur", "elastic_transform": "elastic"}


class Corruptions(NamedTuple):
    """Corrupted versions of one test set.

    Attributes:
      label: What they are, to be shown with every number measured on them; those made here say `C-like`.
      names: Corruptions that can be had.
      read: `(name, severity)` to corrupted images and their labels, numpy arrays.
    """

    label: str
    names: tuple[str, ...]
    read: Callable[[str, int], Batch]


def corruptions(name: str, test: Batch, *, directory: str = "", data_dir: str = "", images: int = 0) -> Corruptions:
    """Finds the corrupted versions of a test set; nothing large is read before it is asked for.

    Args:
      name: Of the data set, e.g. `'cifar100'`.
      test: Its clean test split, images `[N, H, W, C]` uint8.
      directory: With the published files, `<corruption>.npy` `[5N, H, W, C]` uint8, mildest first, and `labels.npy`;
        empty for TFDS's `cifar10_corrupted` where that lies prepared and is meant, else for images made here.
      data_dir: Where TFDS directories lie; empty for TFDS's own default.
      images: The first so many test images; 0 for all. TFDS stores its own order.

    Returns:
      The record. Published files and images made here keep the order of `test`.

    Raises:
      DataError: If files are missing, broken, or of another test set.
      ValueError: If there are not so many images.

    Example:
      >>> test = Batch(np.zeros((4, 8, 8, 1), np.uint8), np.arange(4, dtype=np.int32))
      >>> source = corruptions('digits', test, images=3)
      >>> source.label, len(source.names), source.read('fog', 5).images.shape
      ('digits-C-like (made here)', 18, (3, 8, 8, 1))

    References:
      Hendrycks and Dietterich, ICLR 2019; CIFAR-10-C is record 2535967 of Zenodo, CIFAR-100-C record 3555552.
    """
    if not 0 <= images <= len(test.labels):
        raise ValueError(f"images is {images} of {len(test.labels)} test images; give 0 (all) to {len(test.labels)}")
    kind, home = name.partition(":")[0], data_home(data_dir)
    count = images or len(test.labels)
    if directory:
        return _published(kind, test, Path(directory).expanduser(), count)
    if kind == "cifar10" and (there := _in_tfds(home)):
        return _from_tfds(there, count)
    return _made_here(kind, np.asarray(test.images)[:count], np.asarray(test.labels)[:count])


def _published(name: str, test: Batch, directory: Path, count: int) -> Corruptions:
    if missing := [f"{file}.npy" for file in (*BENCHMARK, "labels") if not (directory / f"{file}.npy").is_file()]:
        raise DataError(f"{directory} lacks {', '.join(missing)}; unpack the published archive there")
    names = tuple(name for name in _ALL if (directory / f"{name}.npy").is_file())
    size, shape = len(test.labels), np.shape(test.images)[1:]
    labels = np.asarray(test.labels)
    if not np.array_equal(_mapped(directory / "labels.npy"), np.tile(labels, len(SEVERITIES))):
        raise DataError(f"{directory}/labels.npy is not {len(SEVERITIES)} times the {size} test labels of {name}")

    def read(corruption: str, severity: int) -> Batch:
        stored = _mapped(path := directory / f"{_known(corruption, severity, names)}.npy")
        if stored.dtype != np.uint8 or stored.shape != (wanted := (len(SEVERITIES) * size, *shape)):
            raise DataError(f"{path} holds {stored.dtype} {list(stored.shape)}; wanted uint8 {list(wanted)}")
        first = (severity - 1) * size
        return _batch(np.array(stored[first : first + count]), labels[:count])

    return Corruptions(f"{name}-c (published)", names, read)


def _mapped(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read ({error}); download it again") from error


def _in_tfds(home: Path) -> dict[tuple[str, int], Path]:
    """The corruptions that lie prepared in all severities."""
    there = prepared(home)
    places = {name: [f"{_TFDS}/{_TFDS_NAMES.get(name, name)}_{severity}" for severity in SEVERITIES] for name in _ALL}
    return {
        (name, severity): there[place]
        for name, five in places.items()
        if all(place in there for place in five)
        for severity, place in zip(SEVERITIES, five, strict=True)
    }


def _from_tfds(there: dict[tuple[str, int], Path], count: int) -> Corruptions:
    names = tuple(dict.fromkeys(name for name, _ in there))

    def read(corruption: str, severity: int) -> Batch:
        directory = there[_known(corruption, severity, names), severity]
        split = open_split(directory, "test")
        if split.size < count:
            raise DataError(f"{directory} holds {split.size} images, wanted {count}; remove it and prepare it again")
        return split.read(0, count)

    return Corruptions(f"{_TFDS} (TFDS)", names, read)


def _made_here(name: str, images: np.ndarray, labels: np.ndarray) -> Corruptions:
    def read(corruption: str, severity: int) -> Batch:
        return _batch(corrupt(images, corruption, severity), labels)

    return Corruptions(f"{name}-C-like (made here)", tuple(name for name in _ALL if name in TABLE), read)


def _batch(images: Any, labels: Any) -> Batch:
    return Batch(images, labels)


def _known(name: str, severity: int, names: tuple[str, ...]) -> str:
    if severity not in SEVERITIES:
        raise ValueError(f"severity is {severity}; give 1 (weak) to 5")
    return one_of("corruption", name, names)
