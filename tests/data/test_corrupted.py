"""Corrupted test sets, wherever they come from."""

import json

import numpy as np
import pytest

from lpjax import data
from lpjax.data.directory import prepared
from lpjax.data.stored import open_split
from lpjax.types import Batch

ALL = (*data.BENCHMARK, *data.EXTRA)


@pytest.fixture
def test_split():
    draw = np.random.default_rng(0)
    return Batch(draw.integers(0, 256, (6, 8, 8, 3)).astype(np.uint8), draw.integers(0, 10, 6).astype(np.int32))


def value(name, severity):
    return 10 * ALL.index(name) + severity


@pytest.fixture
def published(tmp_path, test_split):
    """A folder laid out like the published ones; an image's pixels tell corruption and severity, and its place."""
    for name in ALL:
        images = np.zeros((30, 8, 8, 3), np.uint8)
        for severity in data.SEVERITIES:
            images[6 * (severity - 1) : 6 * severity] = value(name, severity)
        images[:, 0, 0, 0] = np.tile(np.arange(6), 5)
        np.save(tmp_path / f"{name}.npy", images)
    np.save(tmp_path / "labels.npy", np.tile(test_split.labels, 5).astype(np.uint8))
    return tmp_path


@pytest.fixture
def tfds_home(tmp_path, test_split):
    """Two corruptions as TFDS lays them out, one of them lacking its last severity."""
    import tensorflow_datasets as tfds

    home = tmp_path / "home"
    features = tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(8, 8, 3), encoding_format="png"),
            "label": tfds.features.ClassLabel(num_classes=10),
        }
    )
    for name, theirs, severities in (("elastic_transform", "elastic", range(1, 6)), ("fog", "fog", range(1, 5))):
        for severity in severities:
            pixels = np.full((8, 8, 3), value(name, severity), np.uint8)
            examples = [{"image": data.encode_png(pixels), "label": int(label)} for label in test_split.labels]
            place, config = home / "cifar10_corrupted", f"{theirs}_{severity}"
            directory = data.write_directory(place, config, "1.0.0", features, {"test": examples}, "")
            (file,) = directory.glob("*array_record*")
            file.rename(file.with_name(file.name.replace(config, "cifar10_corrupted")))
            info = directory / "dataset_info.json"
            there = {"name": "cifar10_corrupted", "configName": config, "moduleName": "tensorflow_datasets"}
            info.write_text(json.dumps(json.loads(info.read_text()) | there))
    return home


def test_published_files_are_read_by_name_and_severity(published, test_split):
    source = data.corruptions("cifar100", test_split, directory=str(published))
    assert (source.label, source.names) == ("cifar100-c (published)", ALL)
    for name in ALL:
        for severity in data.SEVERITIES:
            batch = source.read(name, severity)
            assert (batch.images.shape, batch.images.dtype) == ((6, 8, 8, 3), np.uint8)
            assert (batch.images[:, 1:] == value(name, severity)).all()
            np.testing.assert_array_equal(batch.images[:, 0, 0, 0], np.arange(6))
            np.testing.assert_array_equal(batch.labels, test_split.labels)
            assert batch.labels.dtype == np.int32


def test_the_first_so_many_images_are_read(published, test_split):
    few = data.corruptions("cifar10:3.0.2", test_split, directory=str(published), images=2).read("snow", 2)
    np.testing.assert_array_equal(few.images[:, 0, 0, 0], [0, 1])
    np.testing.assert_array_equal(few.labels, test_split.labels[:2])
    with pytest.raises(ValueError, match="images: got 7"):
        data.corruptions("cifar10", test_split, directory=str(published), images=7)


def test_extra_corruptions_may_lack_the_benchmark_and_labels_may_not(published, test_split):
    (published / "spatter.npy").unlink()
    assert "spatter" not in (names := data.corruptions("cifar10", test_split, directory=str(published)).names)
    assert set(names) > set(data.BENCHMARK)
    for missing in ("fog", "snow", "labels"):
        (published / f"{missing}.npy").unlink()
    with pytest.raises(data.DataError, match=r"snow\.npy, fog\.npy, labels\.npy"):
        data.corruptions("cifar10", test_split, directory=str(published))


def test_files_of_another_test_set_are_refused(published, test_split):
    shuffled = test_split._replace(labels=(test_split.labels + 1) % 10)
    for other in (shuffled, Batch(test_split.images[:5], test_split.labels[:5])):
        with pytest.raises(data.DataError, match=r"labels\.npy .*cifar10"):
            data.corruptions("cifar10", other, directory=str(published))
    np.save(published / "fog.npy", np.zeros((30, 4, 4, 3), np.uint8))
    source = data.corruptions("cifar10", test_split, directory=str(published))
    with pytest.raises(data.DataError, match=r"fog\.npy.*\[30, 4, 4, 3\].*\[30, 8, 8, 3\]"):
        source.read("fog", 1)


def test_a_damaged_file_is_refused_in_one_line(published, test_split):
    source = data.corruptions("cifar10", test_split, directory=str(published))
    for damage in (b"", b"nonsense", (published / "fog.npy").read_bytes()[:200]):
        (published / "fog.npy").write_bytes(damage)
        with pytest.raises(data.DataError, match=r"fog\.npy") as caught:
            source.read("fog", 1)
        assert "\n" not in str(caught.value)


def test_tfds_sets_are_read_where_all_five_severities_lie_prepared(tfds_home, test_split):
    source = data.corruptions("cifar10", test_split, data_dir=str(tfds_home))
    assert (source.label, source.names) == ("cifar10_corrupted (TFDS)", ("elastic_transform",))
    batch = source.read("elastic_transform", 4)
    assert (batch.images == value("elastic_transform", 4)).all()
    np.testing.assert_array_equal(batch.labels, test_split.labels)
    few = data.corruptions("cifar10", test_split, data_dir=str(tfds_home), images=2).read("elastic_transform", 1)
    assert few.images.shape == (2, 8, 8, 3)
    more = Batch(np.repeat(test_split.images, 2, 0), np.repeat(test_split.labels, 2))
    with pytest.raises(data.DataError, match=r"elastic_1.* 6 images.* 12"):
        data.corruptions("cifar10", more, data_dir=str(tfds_home)).read("elastic_transform", 1)


def test_one_split_is_opened_whatever_others_there_are(tfds_home):
    directory = prepared(tfds_home)["cifar10_corrupted/fog_1"]
    assert open_split(directory, "test").size == 6
    with pytest.raises(data.DataError, match=r"train split.*\['test'\]"):
        open_split(directory, "train")


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "digits"])
def test_what_is_not_to_be_had_is_made_here_and_says_so(name, test_split, tmp_path):
    source = data.corruptions(name, test_split, data_dir=str(tmp_path), images=4)
    assert "C-like" in source.label
    assert name in source.label
    assert set(source.names) == set(ALL) - {"frost"}
    batch = source.read("glass_blur", 2)
    np.testing.assert_array_equal(batch.images, data.corrupt(test_split.images, "glass_blur", 2)[:4])
    np.testing.assert_array_equal(batch.labels, test_split.labels[:4])


def test_only_cifar10_is_looked_for_among_tfds_sets(tfds_home, test_split):
    assert "C-like" in data.corruptions("cifar100", test_split, data_dir=str(tfds_home)).label


@pytest.mark.parametrize("where", ["published", "tfds_home", "tmp_path"])
def test_unknown_corruptions_and_severities_are_refused(where, request, test_split):
    place = str(request.getfixturevalue(where))
    named = {"directory": place} if where == "published" else {"data_dir": place}
    source = data.corruptions("cifar10", test_split, **named)
    with pytest.raises(ValueError, match=r"corruption 'elastic_transfrom'.* 'elastic_transform'"):
        source.read("elastic_transfrom", 1)
    with pytest.raises(ValueError, match="severity: got 0"):
        source.read(source.names[0], 0)
