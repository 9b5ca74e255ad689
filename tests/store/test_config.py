import re

import pytest

from lpjax import store
from lpjax.store import paths

CONFIG = {"model": {"name": "resnet8", "stages": (1, 1)}, "imp": {"levels": 3, "prune_fraction": 0.2}, "seeds": [0]}


def with_imp(**fields):
    return CONFIG | {"imp": CONFIG["imp"] | fields}


@pytest.fixture
def workdir(tmp_path):
    store.bind_config(tmp_path / "run", CONFIG)
    return tmp_path / "run"


def test_the_first_use_writes_the_config(workdir):
    assert store.read_json(paths.config(workdir)) == CONFIG | {"model": {"name": "resnet8", "stages": [1, 1]}}


def test_the_same_config_is_taken_again_and_nothing_is_written(workdir):
    before = paths.config(workdir).stat().st_mtime_ns
    store.bind_config(workdir, CONFIG)
    assert paths.config(workdir).stat().st_mtime_ns == before


def test_more_seeds_join_the_directory_and_the_config_lists_them_all(workdir):
    store.bind_config(workdir, CONFIG | {"seeds": [2, 1]})
    store.bind_config(workdir, CONFIG | {"seeds": (0, 3)})
    assert store.read_json(paths.config(workdir))["seeds"] == [0, 2, 1, 3]


def test_another_config_is_refused_naming_what_differs(workdir):
    before = paths.config(workdir).read_bytes()
    with pytest.raises(ValueError, match=re.escape(str(workdir))) as caught:
        store.bind_config(workdir, with_imp(levels=5, rewind="0it"))
    message = str(caught.value)
    assert "\n" not in message
    assert set(re.findall(r"imp\.\w+", message)) == {"imp.levels", "imp.rewind"}
    assert all(value in message for value in ("3", "5", '"0it"'))
    assert paths.config(workdir).read_bytes() == before


def test_of_many_differences_five_are_named(workdir):
    with pytest.raises(ValueError, match="f4") as caught:
        store.bind_config(workdir, CONFIG | {f"f{n}": n for n in range(9)})
    assert re.findall(r"\bf\d", str(caught.value)) == ["f0", "f1", "f2", "f3", "f4"]


@pytest.mark.parametrize("change", [{"levels": 3.5}, {"levels": "3"}, {"levels": {}}, {"levels": None}])
def test_a_value_of_another_kind_is_another_config(change, workdir):
    with pytest.raises(ValueError, match=r"imp\.levels"):
        store.bind_config(workdir, with_imp(**change))


def test_a_directory_of_other_things_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(ValueError, match=r"thesis\.tex.*config\.json"):
        store.bind_config(tmp_path, CONFIG)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_hidden_files_do_not_make_a_directory_somebody_elses(tmp_path):
    (tmp_path / ".config.json.123").write_text("{")
    store.bind_config(tmp_path, CONFIG)
    assert paths.config(tmp_path).exists()


def test_a_file_is_no_work_directory(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"file.*: File exists"):
        store.bind_config(tmp_path / "file", CONFIG)


def test_a_damaged_config_is_refused(workdir):
    paths.config(workdir).write_text("{")
    with pytest.raises(ValueError, match=r"config\.json"):
        store.bind_config(workdir, CONFIG)


def test_a_config_of_an_older_version_is_translated_before_it_is_compared_and_then_rewritten(tmp_path):
    def translate(config):
        return {"new" if name == "old" else name: value for name, value in config.items()}

    store.bind_config(tmp_path, {"old": 3, "seeds": [0]})
    store.bind_config(tmp_path, {"new": 3, "seeds": [0]}, translate=translate)
    assert store.read_json(paths.config(tmp_path)) == {"new": 3, "seeds": [0]}
    with pytest.raises(ValueError, match="new is 3 there, 4 here"):
        store.bind_config(tmp_path, {"new": 4, "seeds": [0]}, translate=translate)
