"""The official CIFAR archives, made into TFDS directories."""

import hashlib
import pickle
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from lpjax.choices import one_of
from lpjax.data.directory import DataError, data_home, prepared, write_directory
from lpjax.data.pickles import read_pickle
from lpjax.data.png import encode_png


class Archive(NamedTuple):
    """What is known of an official archive.

    Attributes:
      url: Where it is published.
      md5: Its checksum, hexadecimal.
      version: TFDS's version of the data set.
      train: Members holding the training images, in the archive's own order.
      test: Members holding the test images.
      meta: The member holding the class names.
      labels: By feature: the key of the labels in a member, and of the class names in `meta`.
    """

    url: str
    md5: str
    version: str
    train: tuple[str, ...]
    test: tuple[str, ...]
    meta: str
    labels: dict[str, tuple[str, str]]


ARCHIVES = {
    "cifar10": Archive(
        url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        md5="c58f30108f718f92721af3b95e74349a",
        version="3.0.2",
        train=tuple(f"data_batch_{i}" for i in range(1, 6)),
        test=("test_batch",),
        meta="batches.meta",
        labels={"label": ("labels", "label_names")},
    ),
    "cifar100": Archive(
        url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        md5="eb9058c3a382ffc7106e4002c42a8d85",
        version="3.0.2",
        train=("train",),
        test=("test",),
        meta="meta",
        labels={
            "label": ("fine_labels", "fine_label_names"),
            "coarse_label": ("coarse_labels", "coarse_label_names"),
        },
    ),
}
"""The archives by name of the data set."""


def prepare_archive(name: str, data_dir: str | Path = "", archive: str | Path = "", checksum: str = "") -> Path:
    """Makes an official archive into a TFDS directory, in the archive's own order.

    Index 45,000 onwards of the training split is then the hold-out of the papers' PyTorch code.
    Returns at once if the data set is there already.

    Args:
      name: A name of `ARCHIVES`.
      data_dir: Where TFDS directories lie; empty for TFDS's own default.
      archive: The archive, if it is on disk; otherwise it is downloaded to `data_dir/downloads`.
      checksum: The MD5 wanted, hexadecimal; empty for the official one.

    Returns:
      The directory, which `tfds.builder(name, data_dir=data_dir)` reads.

    Raises:
      DataError: If the archive cannot be had, differs from the published one, or cannot be read.
      ValueError: If the name is unknown.

    Example:
      >>> prepare_archive('cifar11')
      Traceback (most recent call last):
      ValueError: unknown archive 'cifar11'; did you mean 'cifar10'? (known: cifar10, cifar100)
    """
    known = ARCHIVES[one_of("archive", name, ARCHIVES)]
    home = data_home(data_dir)
    if (there := prepared(home).get(f"{name}:{known.version}")) is not None:
        return there
    if checksum:
        known = known._replace(md5=checksum)
    path = _checked(Path(archive).expanduser(), known) if archive else _downloaded(name, known, home)
    members = _members(path, known)
    try:
        classes = {feature: members[known.meta][names] for feature, (_, names) in known.labels.items()}
        splits = {
            split: list(_batches(members, files, known.labels))
            for split, files in (("train", known.train), ("test", known.test))
        }
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not laid out like {PurePosixPath(known.url).name}: {error!r} is amiss") from error
    examples = {split: _examples(split, batches) for split, batches in splits.items()}
    return write_directory(home, name, known.version, _features(classes), examples, f"From {known.url}, in its order.")


def _checked(path: Path, known: Archive) -> Path:
    if not path.is_file():
        raise DataError(f"no archive at {path}; download it from {known.url}")
    with path.open("rb") as file:
        md5 = hashlib.file_digest(file, "md5").hexdigest()
    if md5 != known.md5:
        raise DataError(
            f"{path} is incomplete or altered: its MD5 is {md5}, {known.md5} is wanted; "
            f"download it again from {known.url}"
        )
    return path


def _downloaded(name: str, known: Archive, home: Path) -> Path:
    import pooch

    pooch.get_logger().setLevel("WARNING")  # the bar says enough
    try:
        path = pooch.retrieve(
            known.url,
            known_hash=f"md5:{known.md5}",
            fname=PurePosixPath(known.url).name,
            path=home / "downloads",
            progressbar=True,
        )
    except (OSError, ValueError) as error:  # requests' errors are OSErrors, a wrong checksum is a ValueError
        raise DataError(
            f"{name} is not in {home} and cannot be downloaded ({type(error).__name__}); get {known.url} elsewhere "
            f"and run `python -m lpjax.data.prepare {name} --archive=PATH --data_dir={home}`, or point at "
            f"prepared data with --config.data_dir=DIR"
        ) from error
    return Path(path)


def _members(path: Path, known: Archive) -> dict[str, Any]:
    wanted = {*known.train, *known.test, known.meta}
    members: dict[str, Any] = {}
    try:
        with tarfile.open(path, "r:gz") as tar:
            for member in tar:
                if (name := PurePosixPath(member.name).name) in wanted and (file := tar.extractfile(member)):
                    members[name] = read_pickle(file)
    except (tarfile.TarError, pickle.UnpicklingError, EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}); download it again from {known.url}") from error
    if missing := sorted(wanted - set(members)):
        raise DataError(f"{path} lacks {', '.join(missing)}; download it again from {known.url}")
    return members


_Batch = tuple[np.ndarray, dict[str, list[int]]]


def _batches(members: dict[str, Any], files: tuple[str, ...], labels: dict[str, tuple[str, str]]) -> Iterator[_Batch]:
    for file in files:
        planes = np.asarray(members[file]["data"], np.uint8).reshape(-1, 3, 32, 32)
        yield planes.transpose(0, 2, 3, 1), {feature: members[file][key] for feature, (key, _) in labels.items()}


def _examples(split: str, batches: list[_Batch]) -> Iterator[dict[str, Any]]:
    count = 0
    for images, labels in batches:
        for image, *values in zip(images, *labels.values(), strict=True):
            yield {
                "id": f"{split}_{count:05d}",
                "image": encode_png(image),
                **dict(zip(labels, values, strict=True)),
            }
            count += 1


def _features(classes: dict[str, list[str]]) -> Any:
    import tensorflow_datasets as tfds

    labels = {feature: tfds.features.ClassLabel(names=names) for feature, names in classes.items()}
    image = tfds.features.Image(shape=(32, 32, 3), encoding_format="png")
    return tfds.features.FeaturesDict({"id": tfds.features.Text(), "image": image, **labels})
