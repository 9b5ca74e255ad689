import hashlib
import os
import pickle
from pathlib import Path

import numpy as np
import pooch
import pytest
import requests

from lpjax import data
from lpjax.data import archives
from lpjax.data.directory import prepared


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_an_official_archive_becomes_a_tfds_directory_in_its_own_order(name, archive, tmp_path):
    import tensorflow_datasets as tfds

    made = archive(name)
    directory = data.prepare_archive(name, tmp_path / "home", made.path, made.md5)
    assert directory == tmp_path / "home" / name / "3.0.2"
    builder = tfds.builder(name, data_dir=tmp_path / "home")
    assert builder.is_prepared()
    for split in ("train", "test"):
        source = builder.as_data_source(split)
        np.testing.assert_array_equal([example["image"] for example in source], made.images[split])
        assert [example["label"] for example in source] == made.labels[split]
        assert source[1]["id"].decode() == f"{split}_00001"


def test_class_names_and_coarse_labels_are_kept(archive, tmp_path):
    import tensorflow_datasets as tfds

    made = archive("cifar100")
    builder = tfds.builder_from_directory(data.prepare_archive("cifar100", tmp_path, made.path, made.md5))
    assert builder.info.features["label"].names[7] == "fine7"
    assert builder.info.features["coarse_label"].num_classes == 20
    coarse = [example["coarse_label"] for example in builder.as_data_source("train")]
    assert coarse == [label // 5 for label in made.labels["train"]]


def test_the_hold_out_is_the_end_of_the_last_training_batch(archive, tmp_path):
    made = archive("cifar10", each=6)
    data.prepare_archive("cifar10", tmp_path, made.path, made.md5)
    dataset = data.load("cifar10", data_dir=str(tmp_path), validation=3)
    np.testing.assert_array_equal(dataset.train.images, made.images["train"][:27])
    np.testing.assert_array_equal(dataset.validation.images, made.images["train"][27:])
    np.testing.assert_array_equal(dataset.test.labels, made.labels["test"])
    assert dataset.mean == (0.4914, 0.4822, 0.4465)


def test_preparing_twice_returns_at_once(archive, tmp_path):
    made = archive("cifar10")
    first = data.prepare_archive("cifar10", tmp_path, made.path, made.md5)
    before = {path: path.stat().st_mtime_ns for path in first.iterdir()}
    assert data.prepare_archive("cifar10", tmp_path, "/nowhere.tar.gz") == first
    assert {path: path.stat().st_mtime_ns for path in first.iterdir()} == before


def test_an_altered_archive_is_refused_in_one_line(archive, tmp_path):
    made = archive("cifar10")
    with pytest.raises(data.DataError, match=f"MD5 {made.md5}.* c58f30108f718f92721af3b95e74349a") as caught:
        data.prepare_archive("cifar10", tmp_path / "home", made.path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.99])
def test_a_truncated_archive_is_refused_in_one_line(share, archive, tmp_path):
    made = archive("cifar10")
    content = made.path.read_bytes()
    made.path.write_bytes(content[: int(share * len(content))])
    md5 = hashlib.md5(made.path.read_bytes()).hexdigest()
    with pytest.raises(data.DataError, match=made.path.name) as caught:
        data.prepare_archive("cifar10", tmp_path / "home", made.path, md5)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "home").exists()


def test_a_missing_archive_is_refused(tmp_path):
    with pytest.raises(data.DataError, match=r"nowhere\.tar\.gz"):
        data.prepare_archive("cifar10", tmp_path, tmp_path / "nowhere.tar.gz")


def test_an_archive_of_another_data_set_is_refused(archive, tmp_path):
    made = archive("cifar100")
    with pytest.raises(data.DataError, match=r"batches\.meta, data_batch_1"):
        data.prepare_archive("cifar10", tmp_path, made.path, made.md5)


def test_members_laid_out_otherwise_are_refused(tar, tmp_path):
    files = [*archives.ARCHIVES["cifar10"].train, "test_batch", "batches.meta"]
    md5 = tar(tmp_path / "odd.tar.gz", {file: pickle.dumps({"data": 1}) for file in files})
    with pytest.raises(data.DataError, match=r"odd\.tar\.gz.* cifar-10-python\.tar\.gz"):
        data.prepare_archive("cifar10", tmp_path, tmp_path / "odd.tar.gz", md5)


def test_a_malicious_archive_runs_nothing(tar, tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "pwned"),)

    md5 = tar(tmp_path / "evil.tar.gz", {"cifar-10-batches-py/test_batch": pickle.dumps(Evil())})
    with pytest.raises(data.DataError, match="mkdir"):
        data.prepare_archive("cifar10", tmp_path, tmp_path / "evil.tar.gz", md5)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "error",
    [
        requests.exceptions.ConnectionError("Max retries\nexceeded"),
        requests.exceptions.HTTPError("404"),
        ValueError("hash of downloaded file\ndoes not match"),
        PermissionError("no"),
    ],
)
def test_without_network_one_line_says_what_to_do(error, monkeypatch, tmp_path):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(pooch, "retrieve", fail)
    with pytest.raises(data.DataError) as caught:
        data.load("cifar10", data_dir=str(tmp_path))
    message = str(caught.value)
    assert "\n" not in message
    assert str(tmp_path) in message
    assert type(error).__name__ in message
    assert "python -m lpjax.data.prepare cifar10 --archive=" in message
    assert "--config.data_dir=" in message


def test_loading_prepares_on_first_use_and_downloads_once(archive, monkeypatch, tmp_path):
    made = archive("cifar10")
    calls = []

    def retrieve(url, *, known_hash, fname, path, progressbar):
        calls.append((url, known_hash, Path(path) / fname, progressbar))
        return str(made.path)

    monkeypatch.setattr(pooch, "retrieve", retrieve)
    home = tmp_path / "home"
    for _ in range(2):
        dataset = data.load("cifar10", data_dir=str(home), validation=5)
        np.testing.assert_array_equal(dataset.validation.labels, made.labels["train"][-5:])
    official = data.ARCHIVES["cifar10"]
    assert calls == [(official.url, f"md5:{official.md5}", home / "downloads" / "cifar-10-python.tar.gz", True)]


def test_an_interrupted_preparation_leaves_nothing_half_made(archive, monkeypatch, tmp_path):
    made = archive("cifar10")
    encode = archives.encode_png
    seen = []

    def interrupt(pixels):
        seen.append(pixels)
        if len(seen) > 7:
            raise KeyboardInterrupt
        return encode(pixels)

    monkeypatch.setattr(archives, "encode_png", interrupt)
    with pytest.raises(KeyboardInterrupt):
        data.prepare_archive("cifar10", tmp_path / "home", made.path, made.md5)
    assert not (tmp_path / "home" / "cifar10").exists()
    assert prepared(tmp_path / "home") == {}
    monkeypatch.undo()
    assert data.prepare_archive("cifar10", tmp_path / "home", made.path, made.md5).is_dir()
