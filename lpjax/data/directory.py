"""TFDS directories: where they are, and how to write one without TensorFlow."""

import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lpjax.errors import UserError

_IMAGES_PER_FILE = 100_000


class DataError(UserError):
    """Data are missing or corrupt; the message is one line that says what to do."""


def data_home(data_dir: str | Path = "") -> Path:
    """Returns the folder of TFDS directories.

    Args:
      data_dir: The folder; empty for the default of TFDS, `$TFDS_DATA_DIR` or `~/tensorflow_datasets`.

    Returns:
      The expanded path, which need not exist.

    Example:
      >>> data_home('/data').as_posix()
      '/data'
    """
    return Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def prepared(home: Path) -> dict[str, Path]:
    """Lists the data sets that are prepared in a folder.

    Args:
      home: From `data_home`.

    Returns:
      Directories by name: `'set'` or `'set/config'` for the newest version, `'set:1.0.0'` for a specific version.

    Example:
      >>> prepared(Path('/nowhere'))
      {}
    """
    infos = [*home.glob("*/*.*.*/dataset_info.json"), *home.glob("*/*/*.*.*/dataset_info.json")]
    versions = [info.parent for info in infos if re.fullmatch(r"\d+\.\d+\.\d+", info.parent.name)]
    versions.sort(key=lambda directory: [int(number) for number in directory.name.split(".")])
    named = [(directory.parent.relative_to(home).as_posix(), directory) for directory in versions]
    return dict(named) | {f"{name}:{directory.name}": directory for name, directory in named}


def pinned_order(names: Iterable[str]) -> list[int]:
    """Returns a pseudo-random order that is the same on every machine and with every library version.

    Args:
      names: Unique names of the items.

    Returns:
      Indices of the items, sorted by the SHA-256 of their names.

    Example:
      >>> pinned_order(['cat', 'dog', 'frog'])
      [2, 0, 1]
    """
    digests = [hashlib.sha256(name.encode()).digest() for name in names]
    return sorted(range(len(digests)), key=digests.__getitem__)


def write_directory(
    home: Path, name: str, version: str, features: Any, splits: Mapping[str, Iterable[dict[str, Any]]], about: str
) -> Path:
    """Writes a TFDS directory (ArrayRecord) in the given order, with a progress bar.

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
    """
    import tensorflow_datasets as tfds  # slow: a second

    target = home / name / version
    unfinished = target.parent / f"incomplete.{uuid.uuid4().hex}"
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
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target
