"""Conversion of the official CIFAR archives to TFDS directories."""

import hashlib
import pickle
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from lpjax.cache import expand_home
from lpjax.choices import one_of
from lpjax.data.directory import DataError, data_home, prepared, write_directory
from lpjax.data.pickles import read_pickle
from lpjax.data.png import encode_png


class Archive(NamedTuple):
    """Description of an official archive.

    Attributes:
      url: Where it is published.
      md5: Its MD5 checksum, hexadecimal.
      version: Version of the data set in TFDS.
      train: Members holding the training images, in the archive's own order.
      test: Members holding the test images.
      meta: The member holding the class names.
      labels: Per feature: the key of the labels in a member, and the key of the class names in `meta`.
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
"""The official archives, by name of the data set."""


def prepare_archive(name: str, data_dir: str | Path = "", archive: str | Path = "", checksum: str = "") -> Path:
    """Convert an official archive to a TFDS directory, in the order of the archive.

    Training images 45,000 onwards are then the hold-out of the papers' PyTorch code.
    Does nothing if the data set is prepared already.

    Args:
      name: A name of `ARCHIVES`.
      data_dir: The folder of TFDS directories; empty for the default of TFDS.
      archive: Path of the archive; empty to download it to `data_dir/downloads`.
      checksum: The expected MD5, hexadecimal; empty for the official one.

    Returns:
      The directory, which `tfds.builder(name, data_dir=data_dir)` reads.

    Raises:
      DataError: If the archive cannot be downloaded, differs from the official one, or cannot be read.
      UserError: If the name is unknown.

    Example:
      >>> prepare_archive('cifar11')
      Traceback (most recent call last):
      lpjax.errors.UserError: unknown archive 'cifar11'; did you mean 'cifar10'? (known: cifar10, cifar100)
    """
    known = ARCHIVES[one_of("archive", name, ARCHIVES)]
    home = data_home(data_dir)
    directory = prepared(home).get(f"{name}:{known.version}")
    if directory is not None:
        return directory
    if checksum:
        known = known._replace(md5=checksum)
    path = _checked(expand_home(archive), known) if archive else _downloaded(name, known, home)
    members = _members(path, known)
    try:
        classes = {feature: members[known.meta][names] for feature, (_, names) in known.labels.items()}
        train = [_batch(members[file], known) for file in known.train]
        test = [_batch(members[file], known) for file in known.test]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} does not have the layout of {PurePosixPath(known.url).name}: {error!r}") from error
    examples = {"train": _examples("train", train), "test": _examples("test", test)}
    return write_directory(home, name, known.version, _features(classes), examples, f"From {known.url}, in its order.")


def _checked(path: Path, known: Archive) -> Path:
    if not path.is_file():
        raise DataError(f"no archive at {path}; download it from {known.url}")
    with path.open("rb") as file:
        md5 = hashlib.file_digest(file, "md5").hexdigest()
    if md5 != known.md5:
        raise DataError(
            f"{path} is incomplete or altered: got MD5 {md5}, expected {known.md5}; download it again from {known.url}"
        )
    return path


def _downloaded(name: str, known: Archive, home: Path) -> Path:
    import pooch

    pooch.get_logger().setLevel("WARNING")  # the progress bar suffices
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
            f"{name} is not in {home} and cannot be downloaded ({type(error).__name__}); download {known.url} "
            f"elsewhere and run `python -m lpjax.data.prepare {name} --archive=PATH --data_dir={home}`, or give "
            f"--config.data_dir=DIR with prepared data"
        ) from error
    return Path(path)


def _members(path: Path, known: Archive) -> dict[str, Any]:
    wanted = {*known.train, *known.test, known.meta}
    members: dict[str, Any] = {}
    try:
        with tarfile.open(path, "r:gz") as tar:
            for member in tar:
                name = PurePosixPath(member.name).name
                file = tar.extractfile(member) if name in wanted else None
                if file is not None:
                    members[name] = read_pickle(file)
    except (tarfile.TarError, pickle.UnpicklingError, EOFError, OSError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}); download it again from {known.url}") from error
    missing = sorted(wanted - set(members))
    if missing:
        raise DataError(f"{path} lacks {', '.join(missing)}; download it again from {known.url}")
    return members


def _batch(member: dict[str, Any], known: Archive) -> tuple[np.ndarray, dict[str, list[int]]]:
    """Return the images of a member, `[N, 32, 32, 3]`, and its labels by feature."""
    images = np.asarray(member["data"], np.uint8).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return images, {feature: member[key] for feature, (key, _) in known.labels.items()}


def _examples(split: str, batches: Iterable[tuple[np.ndarray, dict[str, list[int]]]]) -> Iterator[dict[str, Any]]:
    count = 0
    for images, labels in batches:
        for row, image in enumerate(images):
            example = {feature: values[row] for feature, values in labels.items()}
            yield {"id": f"{split}_{count:05d}", "image": encode_png(image), **example}
            count += 1


def _features(classes: dict[str, list[str]]) -> Any:
    import tensorflow_datasets as tfds

    labels = {feature: tfds.features.ClassLabel(names=names) for feature, names in classes.items()}
    image = tfds.features.Image(shape=(32, 32, 3), encoding_format="png")
    return tfds.features.FeaturesDict({"id": tfds.features.Text(), "image": image, **labels})
