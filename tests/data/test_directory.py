from pathlib import Path

import pytest

from lpjax import data


def test_the_home_is_what_is_given_or_tfds_own(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.delenv("TFDS_DATA_DIR", raising=False)
    assert data.data_home() == Path("/home/ada/tensorflow_datasets")
    assert data.data_home("~/images") == Path("/home/ada/images")
    monkeypatch.setenv("TFDS_DATA_DIR", "/data")
    assert data.data_home() == Path("/data")


def test_the_newest_version_of_a_set_stands_for_its_name(tmp_path):
    names = ["a/1.9.0", "a/1.10.0", "b/small/2.0.0", "c/incomplete.4_1.0.0", "d", "e/1.0.0.backup"]
    for name in names:
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "dataset_info.json").touch()
    (tmp_path / "f" / "1.0.0").mkdir(parents=True)
    assert {name: path.relative_to(tmp_path).as_posix() for name, path in data.prepared(tmp_path).items()} == {
        "a": "a/1.10.0",
        "a:1.9.0": "a/1.9.0",
        "a:1.10.0": "a/1.10.0",
        "b/small": "b/small/2.0.0",
        "b/small:2.0.0": "b/small/2.0.0",
    }


def test_the_pinned_order_is_a_permutation_that_follows_the_items():
    names = [str(i) for i in range(100)]
    order = data.pinned_order(names)
    assert sorted(order) == list(range(100))
    assert order != list(range(100))
    backwards = data.pinned_order(names[::-1])
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
