"""Corrupted test sets: published files, TFDS, or images corrupted here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lpjax.cache import expand_home
from lpjax.choices import one_of
from lpjax.data.corrupt import corrupt
from lpjax.data.directory import DataError, data_home, prepared
from lpjax.data.effects.table import BENCHMARK, EXTRA, SEVERITIES, TABLE
from lpjax.data.stored import open_split, read_images
from lpjax.errors import UserError
from lpjax.types import Batch

_ALL = (*BENCHMARK, *EXTRA)
_TFDS = "cifar10_corrupted"
_TFDS_NAMES = {"glass_blur": "frosted_glass_blur", "elastic_transform": "elastic"}


class Corruptions(NamedTuple):
    """Corrupted versions of one test set.

    Attributes:
      label: Source of the images, to be reported with results; contains `C-like` for images corrupted here.
      names: Available corruptions.
      read: `(name, severity)` to corrupted images and their labels, numpy arrays.
    """

    label: str
    names: tuple[str, ...]
    read: Callable[[str, int], Batch]


def corruptions(name: str, test: Batch, *, directory: str = "", data_dir: str = "", images: int = 0) -> Corruptions:
    """Open the corrupted versions of a test set; images are read when requested.

    Args:
      name: Name of the data set, e.g. `'cifar100'`.
      test: Its clean test split, images `[N, H, W, C]` uint8.
      directory: Folder of the published files, `<corruption>.npy` `[5N, H, W, C]` uint8, lowest severity first, and
        `labels.npy`. If empty, `cifar10_corrupted` of TFDS is used for CIFAR-10 where it is prepared; otherwise images
        are corrupted here.
      data_dir: The folder of TFDS directories; empty for the default of TFDS.
      images: Number of test images, from the first; 0 for all. TFDS has an order of its own.

    Returns:
      The corruptions. Published files and images corrupted here have the order of `test`.

    Raises:
      DataError: If files are missing, corrupt, or belong to another test set.
      UserError: If `images` is out of range.

    Example:
      >>> test = Batch(np.zeros((4, 8, 8, 1), np.uint8), np.arange(4, dtype=np.int32))
      >>> source = corruptions('digits', test, images=3)
      >>> source.label, len(source.names), source.read('fog', 5).images.shape
      ('digits-C-like (made here)', 18, (3, 8, 8, 1))

    References:
      Hendrycks and Dietterich, ICLR 2019; CIFAR-10-C is record 2535967 of Zenodo, CIFAR-100-C record 3555552.
    """
    if not 0 <= images <= len(test.labels):
        raise UserError(f"images: got {images}, expected 0 (all) to {len(test.labels)}")
    kind = name.partition(":")[0]
    count = images or len(test.labels)
    if directory:
        return _published(kind, test, expand_home(directory), count)
    if kind == "cifar10":
        directories = _in_tfds(data_home(data_dir))
        if directories:
            return _from_tfds(directories, count)
    return _made_here(kind, np.asarray(test.images)[:count], np.asarray(test.labels)[:count])


def _published(name: str, test: Batch, directory: Path, count: int) -> Corruptions:
    missing = [f"{file}.npy" for file in (*BENCHMARK, "labels") if not (directory / f"{file}.npy").is_file()]
    if missing:
        raise DataError(f"{directory} lacks {', '.join(missing)}; unpack the published archive there")
    names = tuple(name for name in _ALL if (directory / f"{name}.npy").is_file())
    size = len(test.labels)
    labels = np.asarray(test.labels)
    expected = (len(SEVERITIES) * size, *np.shape(test.images)[1:])
    if not np.array_equal(_mapped(directory / "labels.npy"), np.tile(labels, len(SEVERITIES))):
        raise DataError(f"{directory}/labels.npy is not {len(SEVERITIES)} times the {size} test labels of {name}")

    def read(corruption: str, severity: int) -> Batch:
        path = directory / f"{_known(corruption, severity, names)}.npy"
        stored = _mapped(path)
        if stored.dtype != np.uint8 or stored.shape != expected:
            raise DataError(f"{path}: got {stored.dtype} {list(stored.shape)}, expected uint8 {list(expected)}")
        first = (severity - 1) * size
        return _batch(np.array(stored[first : first + count]), labels[:count])

    return Corruptions(f"{name}-c (published)", names, read)


def _mapped(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} cannot be read ({error}); download it again") from error


def _in_tfds(home: Path) -> dict[tuple[str, int], Path]:
    """Find the directories of corruptions that are prepared in all severities."""
    available = prepared(home)
    found: dict[tuple[str, int], Path] = {}
    for name in _ALL:
        config = f"{_TFDS}/{_TFDS_NAMES.get(name, name)}"
        if all(f"{config}_{severity}" in available for severity in SEVERITIES):
            for severity in SEVERITIES:
                found[name, severity] = available[f"{config}_{severity}"]
    return found


def _from_tfds(directories: dict[tuple[str, int], Path], count: int) -> Corruptions:
    names = tuple(dict.fromkeys(name for name, _ in directories))

    def read(corruption: str, severity: int) -> Batch:
        directory = directories[_known(corruption, severity, names), severity]
        split = open_split(directory, "test")
        if split.size < count:
            raise DataError(f"{directory}: got {split.size} images, expected {count}; remove it and prepare it again")
        return read_images(split, 0, count)

    return Corruptions(f"{_TFDS} (TFDS)", names, read)


def _made_here(name: str, images: np.ndarray, labels: np.ndarray) -> Corruptions:
    def read(corruption: str, severity: int) -> Batch:
        return _batch(corrupt(images, corruption, severity), labels)

    return Corruptions(f"{name}-C-like (made here)", tuple(name for name in _ALL if name in TABLE), read)


def _batch(images: Any, labels: Any) -> Batch:
    return Batch(images, labels)


def _known(name: str, severity: int, names: tuple[str, ...]) -> str:
    if severity not in SEVERITIES:
        raise ValueError(f"severity: got {severity}, expected 1 (weak) to 5")
    return one_of("corruption", name, names)
