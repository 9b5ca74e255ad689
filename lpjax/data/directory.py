"""TFDS directories: where they are, and how to write one without TensorFlow."""

import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lpjax.cache import cache_directory, expand_home
from lpjax.errors import StorageError, UserError
from lpjax.wording import is_system_trouble

_IMAGES_PER_FILE = 100_000
_VERSION = re.compile(r"\d+\.\d+\.\d+")


class DataError(UserError):
    """Data are missing or corrupt; the message is one line that says what to do."""


def read_error(directory: Path, error: Exception, place: str = "") -> DataError:
    """Word a failure to read, which may be due to a system that lacks memory or file descriptors."""
    message = " ".join(str(error).split()) or type(error).__name__
    if is_system_trouble(error):
        return DataError(f"{directory} could not be read{place} ({message}); run the same command again")
    return DataError(f"{directory} is broken{place} ({message}); remove it and prepare it again")


def data_home(data_dir: str | Path = "") -> Path:
    """Return the folder of TFDS directories.

    Args:
      data_dir: The folder; empty for the default of TFDS, `$TFDS_DATA_DIR` or `~/tensorflow_datasets`. Where there is
        no home directory that can be written, a folder of `cache_directory()` stands in for it.

    Returns:
      The expanded path, which need not exist.

    Example:
      >>> data_home('/data').as_posix()
      '/data'
    """
    given = data_dir or os.environ.get("TFDS_DATA_DIR")
    if given:
        return expand_home(given)
    with suppress(RuntimeError):  # there is no home directory
        default = Path.home() / "tensorflow_datasets"
        existing = next(directory for directory in (default, *default.parents) if directory.exists())
        if existing == default or os.access(existing, os.W_OK):
            return default
    return cache_directory() / "tensorflow_datasets"


def prepared(home: Path) -> dict[str, Path]:
    """List the data sets in a folder: `'set'` or `'set/config'` for the newest version, `'set:1.0.0'` for that one."""
    infos = [*home.glob("*/*.*.*/dataset_info.json"), *home.glob("*/*/*.*.*/dataset_info.json")]
    versions = [info.parent for info in infos if _VERSION.fullmatch(info.parent.name)]
    versions.sort(key=lambda directory: [int(number) for number in directory.name.split(".")])
    newest = {}
    exact = {}
    for directory in versions:
        name = directory.parent.relative_to(home).as_posix()
        newest[name] = directory
        exact[f"{name}:{directory.name}"] = directory
    return newest | exact


def pinned_order(names: Iterable[str]) -> list[int]:
    """Order unique names pseudo-randomly, by their SHA-256: the same on every machine and with every version."""
    digests = [hashlib.sha256(name.encode()).digest() for name in names]
    return sorted(range(len(digests)), key=digests.__getitem__)


def write_directory(
    home: Path, name: str, version: str, features: Any, splits: Mapping[str, Iterable[dict[str, Any]]], about: str
) -> Path:
    """Write a TFDS directory (ArrayRecord) in the given order, with a progress bar.

    It is written to a temporary directory and renamed at the end, so an interruption leaves no incomplete data set.

    Args:
      home: From `data_home`; created if missing.
      name: Name of the data set.
      version: Version, e.g. `'1.0.0'`.
      features: A `tfds.features.FeaturesDict` with an `'image'` and a `'label'`.
      splits: Examples per split, with images as encoded bytes.
      about: The description in `dataset_info.json`.

    Returns:
      The directory `home/name/version`. If another process has written it in the meantime, it is kept.

    Raises:
      DataError: If the directory cannot be written.
      StorageError: If the disk is full or fails.
    """
    import tensorflow_datasets as tfds  # slow: a second

    target = home / name / version
    unfinished = target.parent / f"incomplete.{uuid.uuid4().hex}"
    missing = [parent for parent in (target.parent, *target.parent.parents) if not parent.exists()]
    try:
        unfinished.mkdir(parents=True)
    except OSError as error:
        raise DataError(f"cannot write to {target.parent} ({error.strerror}); give another data_dir") from error
    try:
        identity = tfds.core.DatasetIdentity(
            name=name, version=tfds.core.Version(version), data_dir=str(unfinished), module_name="lpjax"
        )
        info = tfds.core.DatasetInfo(
            builder=identity, description=about, features=features, supervised_keys=("image", "label")
        )
        writer = tfds.core.SequentialWriter(info, _IMAGES_PER_FILE, file_format="array_record")
        writer.initialize_splits(list(splits))
        for split, examples in splits.items():
            writer.add_examples({split: tqdm(examples, desc=f"{name} {split}", unit=" images", disable=None)})
        writer.close_all()
        if not target.exists():
            unfinished.rename(target)
    except OSError as error:
        reason = error.strerror or error
        raise StorageError(f"cannot write {target}: {reason}; free some space, or give another data_dir") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
        for parent in missing:
            with suppress(OSError):  # it is not empty
                parent.rmdir()
    return target
