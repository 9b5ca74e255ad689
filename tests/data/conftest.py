"""CIFAR archives in the official layout, a few random images each."""

import hashlib
import io
import pickle
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest


class Python2Pickler(pickle._Pickler):
    """Pickles as Python 2 did, which wrote the official archives: all strings are byte strings."""

    def save_string(self, value: str | bytes) -> None:
        encoded = value if isinstance(value, bytes) else value.encode()
        self.write(pickle.BINSTRING + struct.pack("<i", len(encoded)) + encoded)
        self.memoize(value)

    dispatch = {**pickle._Pickler.dispatch, bytes: save_string, str: save_string}  # noqa: RUF012


def python2_pickle(value: Any) -> bytes:
    buffer = io.BytesIO()
    Python2Pickler(buffer, protocol=2).dump(value)
    return buffer.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


class Made(NamedTuple):
    path: Path
    md5: str
    images: dict[str, np.ndarray]
    labels: dict[str, list[int]]


def write_tar(path: Path, members: dict[str, bytes]) -> str:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return hashlib.md5(path.read_bytes()).hexdigest()


def make_archive(path: Path, name: str, each: int = 4) -> Made:
    draw = np.random.default_rng(0)
    fine = name == "cifar100"
    classes = 100 if fine else 10
    folder = "cifar-100-python" if fine else "cifar-10-batches-py"
    files = {"train": ["train"], "test": ["test"]} if fine else {
        "train": [f"data_batch_{i}" for i in range(1, 6)],
        "test": ["test_batch"],
    }  # fmt: skip
    images, labels, members = {}, {}, {}
    for split, names in files.items():
        planes = [draw.integers(0, 256, (each, 3072), np.uint8) for _ in names]
        targets = [draw.integers(0, classes, each).tolist() for _ in names]
        for file, data, target in zip(names, planes, targets, strict=True):
            keys = {"fine_labels": target, "coarse_labels": [t // 5 for t in target]} if fine else {"labels": target}
            record = {"batch_label": file, "data": data, "filenames": [f"{i}.png" for i in range(each)], **keys}
            members[f"{folder}/{file}"] = python2_pickle(record)
        images[split] = np.concatenate(planes).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        labels[split] = np.concatenate(targets).tolist()
    meta = {"label_names": [f"class{i}" for i in range(10)], "num_vis": 3072}
    if fine:
        meta = {f"{kind}_label_names": [f"{kind}{i}" for i in range(n)] for kind, n in (("fine", 100), ("coarse", 20))}
    members[f"{folder}/{'meta' if fine else 'batches.meta'}"] = python2_pickle(meta)
    members[f"{folder}/readme.html"] = b"<html/>"
    shuffled = dict(sorted(members.items(), key=lambda item: item[0][::-1]))  # the official tar is unordered, too
    return Made(path, write_tar(path, shuffled), images, labels)


@pytest.fixture
def archive(tmp_path: Path) -> Callable[..., Made]:
    return lambda name, each=4: make_archive(tmp_path / f"{name}.tar.gz", name, each)


@pytest.fixture
def tar() -> Callable[[Path, dict[str, bytes]], str]:
    return write_tar


@pytest.fixture
def images_folder(tmp_path: Path) -> Path:
    """Two classes of 5x4 color images: 6 to train on, 2 to test on, the first pixel numbers them."""
    from PIL import Image

    root = tmp_path / "pictures"
    number = 0
    for split, count in (("train", 3), ("test", 1)):
        for label in ("cat", "dog"):
            (root / split / label).mkdir(parents=True)
            for i in range(count):
                pixels = np.full((4, 5, 3), number, np.uint8)
                Image.fromarray(pixels).save(root / split / label / f"{i}.png")
                number += 1
    return root


def write_set(home: Path, name: str, version: str = "1.0.0", *, size: int = 10, **parts: Any) -> Path:
    """Writes a data set of gray 2x2 images, numbered; `parts` replace features, splits or one example."""
    import tensorflow_datasets as tfds

    from lpjax.data import encode_png, write_directory

    def examples(split: str) -> list[dict[str, Any]]:
        return [
            {"image": encode_png(np.full((2, 2, 1), i % 256, np.uint8)), "label": i % 3, **parts.get("extra", {})}
            for i in range(size if split == "train" else 4)
        ]

    label = parts.get("label", tfds.features.ClassLabel(num_classes=3))
    image = tfds.features.Image(shape=(None, None, 1), encoding_format="png", dtype=parts.get("dtype", np.uint8))
    splits = {split: examples(split) for split in parts.get("splits", ("train", "test"))}
    splits["train"] += parts.get("more", [])
    return write_directory(
        home, name, version, tfds.features.FeaturesDict({"image": image, "label": label}), splits, ""
    )


@pytest.fixture
def stored(tmp_path: Path) -> Callable[..., Path]:
    return lambda name="gray", version="1.0.0", **parts: write_set(tmp_path / "home", name, version, **parts)
