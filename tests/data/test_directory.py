import os
import pwd
import tempfile
from pathlib import Path

import pytest

from lpjax import data
from lpjax.data.directory import pinned_order, prepared
from lpjax.errors import UserError


def test_the_home_is_what_is_given_or_tfds_own(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "ada"))
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    assert data.data_home() == tmp_path / "ada" / "tensorflow_datasets"
    assert data.data_home("~/images") == tmp_path / "ada" / "images"
    monkeypatch.setenv("TFDS_DATA_DIR", "/data")
    assert data.data_home() == Path("/data")


def test_the_newest_version_of_a_set_stands_for_its_name(tmp_path):
    names = ["a/1.9.0", "a/1.10.0", "b/small/2.0.0", "c/incomplete.4_1.0.0", "d", "e/1.0.0.backup"]
    for name in names:
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "dataset_info.json").touch()
    (tmp_path / "f" / "1.0.0").mkdir(parents=True)
    assert {name: path.relative_to(tmp_path).as_posix() for name, path in prepared(tmp_path).items()} == {
        "a": "a/1.10.0",
        "a:1.9.0": "a/1.9.0",
        "a:1.10.0": "a/1.10.0",
        "b/small": "b/small/2.0.0",
        "b/small:2.0.0": "b/small/2.0.0",
    }


def test_the_pinned_order_is_a_permutation_that_follows_the_items():
    names = [str(i) for i in range(100)]
    order = pinned_order(names)
    assert sorted(order) == list(range(100))
    assert order != list(range(100))
    backwards = pinned_order(names[::-1])
    assert [names[i] for i in order] == [names[::-1][i] for i in backwards]


def test_a_place_that_cannot_be_written_is_refused_in_one_line(stored, tmp_path):
    (tmp_path / "home").write_text("a file")
    with pytest.raises(data.DataError, match=r"home/gray.* data_dir"):
        stored()


def test_what_another_process_has_written_meanwhile_is_kept(stored):
    first = stored(size=3)
    before = sorted(path.read_bytes() for path in first.iterdir())
    assert stored(size=9) == first
    assert sorted(path.read_bytes() for path in first.iterdir()) == before
    assert [path.name for path in first.parent.iterdir()] == ["1.0.0"]


@pytest.fixture
def homeless(monkeypatch, tmp_path):
    """An arbitrary user of a container: neither HOME nor an entry in the list of users."""

    def nobody(user):
        raise KeyError(user)

    for name in ("HOME", "XDG_CACHE_HOME", "TFDS_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_without_a_home_data_lie_among_the_temporary_files(homeless, images_folder, tmp_path):
    assert data.data_home().is_relative_to(tmp_path)
    assert data.prepare_folder("pets", images_folder) == data.data_home() / "pets" / "1.0.0"
    assert data.load("pets", validation=1).classes == 2


@pytest.mark.parametrize("use", [data.data_home, lambda path: data.prepare_folder("pets", path, "/nowhere")])
def test_without_a_home_a_path_that_needs_one_is_refused(use, homeless):
    with pytest.raises(UserError, match="~/images: there is no home directory"):
        use("~/images")


def test_a_home_that_takes_no_files_is_used_if_it_holds_data(tmp_path, monkeypatch):
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert data.data_home() != tmp_path / "tensorflow_datasets"
    (tmp_path / "tensorflow_datasets").mkdir()
    assert data.data_home() == tmp_path / "tensorflow_datasets"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a[1]", "a*", "a b", "100%", "x[0:2]", "{a}", "a\\b"])
def test_folders_may_have_any_name(name, images_folder, tmp_path):
    source = tmp_path / name / "source"
    source.parent.mkdir()
    images_folder.rename(source)
    home = str(tmp_path / name / "home")
    data.prepare_folder("pets", source, home)
    assert len(data.load("pets", data_dir=home, validation=1).train.labels) == 5
    training, _ = data.open_image_splits("pets", home)
    assert len(data.read_labels(training)) == 6
