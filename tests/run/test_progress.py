import json
from datetime import UTC, datetime

import pytest

from lpjax.run import status
from lpjax.run.progress import Progress, watch
from lpjax.store import paths


@pytest.fixture
def read(tmp_path):
    return lambda process=0: json.loads(paths.status(tmp_path, process).read_text())


@pytest.fixture
def second_of_two(monkeypatch):
    monkeypatch.setattr("jax.process_index", lambda: 1)
    monkeypatch.setattr("jax.process_count", lambda: 2)


@pytest.fixture
def always(monkeypatch):
    monkeypatch.setattr(status, "_EVERY", 0.0)


def test_a_process_says_who_it_is_and_what_it_does(tmp_path, read, always):
    with watch(tmp_path), Progress("seed 0 tickets", 6, "epoch") as progress:
        progress.advance(2, note="level 0")
        told = read()
    assert {"process": 0, "processes": 1, "state": "working", "stage": "seed 0 tickets"}.items() <= told.items()
    assert {"done": 2, "total": 6, "unit": "epoch", "note": "level 0"}.items() <= told.items()
    assert told["rate"] > 0
    assert told["pid"] > 0
    assert told["host"]
    assert abs((datetime.now(UTC) - datetime.fromisoformat(told["when"])).total_seconds()) < 60
    assert told["since"] <= told["when"]


def test_a_status_is_written_every_few_seconds_and_at_the_ends_of_stages(tmp_path, read, monkeypatch):
    clock = 100.0
    monkeypatch.setattr("time.monotonic", lambda: clock)
    with watch(tmp_path):
        with Progress("first", 9, "epoch") as progress:
            progress.advance()
            assert read()["done"] == 0
            clock += 60
            progress.advance()
            progress.advance()
            assert read()["done"] == 2
        assert read()["done"] == 3
        with Progress("second", 4, "pool"):
            assert {"stage": "second", "done": 0, "unit": "pool", "note": ""}.items() <= read().items()


def test_a_question_asked_within_a_unit_is_a_sign_of_life(tmp_path, read, monkeypatch):
    clock = 100.0
    monkeypatch.setattr("time.monotonic", lambda: clock)
    with watch(tmp_path), Progress("stage", 9, "epoch") as progress:
        progress.advance(note="level 3")
        ask = progress.alive(lambda step: step > 2)
        clock += 60
        assert [ask(2), ask(3)] == [False, True]
        assert (read()["done"], read()["note"]) == (1, "level 3")


def test_what_an_earlier_run_did_says_nothing_of_the_pace(tmp_path, read, monkeypatch, always):
    clock = 100.0
    monkeypatch.setattr("time.monotonic", lambda: clock)
    with watch(tmp_path), Progress("stage", 90, "epoch") as progress:
        progress.advance(40, earlier=True)
        assert (read()["done"], read()["rate"]) == (40, 0)
        clock += 10
        progress.advance(2)
        assert (read()["done"], read()["rate"]) == (42, 0.2)


def test_at_its_end_a_run_has_finished_or_stopped_and_says_why(tmp_path, read):
    with watch(tmp_path):
        assert read()["state"] == "working"
    assert read()["state"] == "finished"
    with pytest.raises(ValueError, match="loss"), watch(tmp_path):
        raise ValueError("the loss\nis nan")
    assert (read()["state"], read()["note"]) == ("stopped", "the loss is nan")
    with pytest.raises(KeyboardInterrupt), watch(tmp_path):
        raise KeyboardInterrupt
    assert (read()["state"], read()["note"]) == ("stopped", "it was told to")


def test_where_no_directory_is_watched_nothing_is_written(tmp_path, read):
    with watch(tmp_path):
        pass
    before = read()
    with Progress("elsewhere", 1, "epoch") as progress:
        progress.advance()
    assert read() == before


def test_a_full_disk_never_stops_the_work(tmp_path, always):
    paths.status(tmp_path, 0).parent.write_text("no directory")
    with watch(tmp_path), Progress("stage", 2, "epoch") as progress:
        progress.advance()
    assert progress.done == 1
    with watch(tmp_path / "missing" / "deeper"):
        pass


def test_a_refused_status_leaves_the_old_one_and_nothing_beside_it(tmp_path, read, always, monkeypatch):
    with watch(tmp_path):
        before = read()

        def full(path, target):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("pathlib.Path.replace", full)
        with Progress("stage", 2, "epoch") as progress:
            progress.advance()
        assert read() == before
        assert [path.name for path in (tmp_path / "status").iterdir()] == ["process_000.json"]


def test_every_process_has_a_status_of_its_own(tmp_path, read, second_of_two):
    with watch(tmp_path):
        assert {"process": 1, "processes": 2}.items() <= read(1).items()
    assert not paths.status(tmp_path, 0).exists()


def test_only_the_first_process_shows_a_bar(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Progress("stage", 2, "epoch") as progress:
        progress.advance()
    assert "stage" in capsys.readouterr().err
    monkeypatch.setattr("jax.process_index", lambda: 1)
    with Progress("stage", 2, "epoch") as progress:
        progress.advance()
    assert capsys.readouterr().err == ""


def test_lines_of_other_processes_say_whose_they_are(capsys, second_of_two):
    with Progress("seed 0 tickets", 2, "epoch") as progress:
        progress.line("level 0: done")
    assert capsys.readouterr().out.startswith("process 1: [seed 0 tickets ")


def test_lines_of_the_only_process_have_no_prefix(capsys):
    with Progress("seed 0 tickets", 2, "epoch") as progress:
        progress.line("level 0: done")
    assert capsys.readouterr().out.startswith("[seed 0 tickets ")
