import errno
import os
import random

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lpjax import store
from lpjax.store import Result

ROW = Result(0, 3, 512, 1000, 0.512, "ticket", "test", "accuracy", 0.75)


def test_json_takes_numpy_and_jax_numbers_and_arrays(tmp_path):
    path = tmp_path / "level_00" / "summary.json"
    store.write_json(path, {"kept": jnp.int32(3), "values": np.array([0.5, 0.25]), "ok": np.bool_(True), "nan": None})
    assert store.read_json(path) == {"kept": 3, "values": [0.5, 0.25], "ok": True, "nan": None}


def test_json_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "summary.json"
    store.write_json(path, {"level": 1})
    store.write_json(path, {"level": 2})
    assert store.read_json(path) == {"level": 2}
    assert list(tmp_path.iterdir()) == [path]


def full_disk(descriptor):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_an_interrupted_write_keeps_the_old_record(tmp_path, monkeypatch):
    path = tmp_path / "summary.json"
    store.write_json(path, {"level": 1})
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_disk)
        with pytest.raises(store.StorageError, match=r"summary\.json: No space left") as caught:
            store.write_json(path, {"level": 2})
    assert "\n" not in str(caught.value)
    assert str(caught.value).count("cannot write") == 1
    assert store.read_json(path) == {"level": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["summary.json"]


def test_a_directory_that_cannot_be_made_is_one_clear_line(tmp_path):
    (tmp_path / "level_00").write_text("a file")
    for write in (store.write_json, store.append_jsonl):
        with pytest.raises(store.StorageError, match=r"level_00/metrics"):
            write(tmp_path / "level_00" / "metrics", {})


def test_only_the_first_process_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    store.write_json(tmp_path / "summary.json", {})
    store.append_jsonl(tmp_path / "metrics.jsonl", {})
    store.write_results(tmp_path / "results.csv", [])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", [None, "", '{"level": '])
def test_an_unreadable_record_is_one_clear_line(text, tmp_path):
    path = tmp_path / "summary.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=r"summary\.json") as caught:
        store.read_json(path)
    assert "\n" not in str(caught.value)


def test_lines_are_read_in_the_order_of_writing(tmp_path):
    path = tmp_path / "level_00" / "metrics.jsonl"
    assert store.read_jsonl(path) == []
    for epoch in range(3):
        store.append_jsonl(path, {"epoch": epoch, "loss": np.float32(0.5)})
    assert store.read_jsonl(path) == [{"epoch": epoch, "loss": 0.5} for epoch in range(3)]


def test_a_line_is_on_the_disk_when_it_is_said_to_be_written(tmp_path, monkeypatch):
    path, synced = tmp_path / "metrics.jsonl", []
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: synced.append((os.fstat(file).st_ino, path.read_text())))
        store.append_jsonl(path, {"epoch": 1})
    assert synced == [(path.stat().st_ino, '{"epoch": 1}\n')]


@pytest.mark.parametrize("torn", ['{"ep', '{"epoch": 2}'])
def test_a_torn_last_line_is_left_out_and_written_over(torn, tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"epoch": 1}\n' + torn)
    assert store.read_jsonl(path) == [{"epoch": 1}]
    store.append_jsonl(path, {"epoch": 2})
    assert path.read_text() == '{"epoch": 1}\n{"epoch": 2}\n'


def test_a_broken_line_before_the_last_is_not_passed_over(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"ep\n{"epoch": 2}\n')
    with pytest.raises(ValueError, match=r"metrics\.jsonl"):
        store.read_jsonl(path)


def test_results_are_the_same_bytes_in_whatever_order_they_come(tmp_path):
    rows = [
        ROW._replace(seed=seed, level=level, split=split)
        for seed in (0, 10, 2)
        for level in (0, 3)
        for split in ("test", "validation")
    ]
    store.write_results(tmp_path / "a.csv", rows)
    random.Random(0).shuffle(rows)
    store.write_results(tmp_path / "b.csv", [row._asdict() for row in rows])
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert [row.seed for row in store.read_results(tmp_path / "a.csv")] == [0] * 4 + [2] * 4 + [10] * 4


@settings(deadline=None, max_examples=50)
@given(value=st.floats(allow_nan=False), density=st.floats(0, 1))
def test_numbers_come_back_exactly(value, density, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "results.csv"
    row = ROW._replace(value=value, density=density)
    store.write_results(path, [row])
    assert store.read_results(path) == [row]


def test_results_of_arrays_are_plain_numbers(tmp_path):
    path = tmp_path / "results.csv"
    store.write_results(path, [ROW._replace(level=np.int64(3), kept=jnp.int32(512), value=jnp.float32(0.75))])
    assert path.read_text() == (
        "seed,level,kept,total,density,method,split,metric,value\n0,3,512,1000,0.512,ticket,test,accuracy,0.75\n"
    )


def test_pandas_reads_the_results_and_takes_the_rows(tmp_path):
    path = tmp_path / "results.csv"
    store.write_results(path, [ROW, ROW._replace(metric="nll", value=1 / 3)])
    pd.testing.assert_frame_equal(pd.read_csv(path), pd.DataFrame(store.read_results(path)))


def test_two_results_of_one_thing_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\(0, 3, 'ticket', 'test', 'accuracy'\).* 0\.5 .* 0\.75"):
        store.write_results(tmp_path / "results.csv", [ROW._replace(value=0.5), ROW])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (None, "No such file"),
        ("", r"results\.csv"),
        ("seed,level\n0,1\n", r"results\.csv.* seed,level, .*seed,level,kept"),
        (",".join(Result._fields) + "\n0,3,512\n", r"results\.csv"),
        (",".join(Result._fields) + "\n0,3,many,1000,0.512,ticket,test,accuracy,0.75\n", "'many'"),
    ],
)
def test_another_table_is_refused(text, named, tmp_path):
    path = tmp_path / "results.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=named):
        store.read_results(path)
