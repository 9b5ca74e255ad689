"""What a run says while it works: bars, lines, and a log per process that costs nothing when a disk refuses."""

import logging
from pathlib import Path

import pytest

from lpjax.run.stage import Progress, log_to, logger
from lpjax.store import paths


@pytest.fixture
def second_of_two(monkeypatch):
    monkeypatch.setattr("jax.process_index", lambda: 1)
    monkeypatch.setattr("jax.process_count", lambda: 2)
    monkeypatch.setattr("lpjax.run.stage.check_preemption", lambda: None)


def lines(workdir, process=0):
    return paths.log(workdir, process).read_text().splitlines()


def test_a_log_tells_when_a_process_starts_what_it_does_and_how_it_ends(tmp_path, capsys):
    with log_to(tmp_path), Progress("seed 0 tickets", 6, "epoch") as progress:
        progress.advance(2, note="level 0")
        progress.line("level 0: kept 36")
    starts, stage, level, finishes = lines(tmp_path)
    assert starts.endswith("process 0 of 1 starts")
    assert stage.endswith("seed 0 tickets: 6 of unit epoch to do")
    assert level.endswith("level 0: kept 36")
    assert finishes.endswith("finishes")
    printed = capsys.readouterr().out
    assert printed.startswith("[seed 0 tickets ")  # the user sees the line alone
    assert printed.count("\n") == 1


@pytest.mark.parametrize("error", [ValueError("the loss\nis nan"), KeyboardInterrupt()])
def test_a_log_tells_why_a_process_stops_and_the_error_goes_on(error, tmp_path):
    before = list(logger.handlers)
    with pytest.raises(type(error)), log_to(tmp_path):
        raise error
    assert lines(tmp_path)[-1].endswith("stops: " + (" ".join(str(error).split()) or "KeyboardInterrupt"))
    assert logger.handlers == before


def test_the_log_of_an_earlier_call_is_kept(tmp_path):
    for _ in range(2):
        with log_to(tmp_path):
            pass
    assert [line.split()[-1] for line in lines(tmp_path)] == ["starts", "finishes"] * 2


def test_a_disk_that_refuses_never_stops_the_work(tmp_path, monkeypatch, capsys):
    paths.log(tmp_path, 0).parent.write_text("no directory")
    with log_to(tmp_path):
        logger.info("first")
    with log_to(tmp_path / "missing" / "deeper"):
        logger.info("second")
    other = tmp_path / "other"
    other.mkdir()
    with log_to(other):
        (file,) = [handler for handler in logger.handlers if isinstance(handler, logging.FileHandler)]

        def full(text):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(file.stream, "write", full, raising=False)
        logger.info("third")
        monkeypatch.undo()
    assert capsys.readouterr().out == "first\nsecond\nthird\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full, of Linux")
def test_a_full_disk_costs_the_lines_of_the_log_and_leaves_the_error_that_matters(tmp_path):
    paths.log(tmp_path, 0).parent.mkdir()
    paths.log(tmp_path, 0).symlink_to("/dev/full")
    with log_to(tmp_path):
        logger.info("a line")
    with pytest.raises(ValueError, match="matters"), log_to(tmp_path):
        raise ValueError("matters")


@pytest.mark.usefixtures("second_of_two")
def test_every_process_has_a_log_of_its_own(tmp_path, capsys):
    with log_to(tmp_path), Progress("seed 0 tickets", 2, "epoch") as progress:
        progress.line("level 0: done")
    assert not paths.log(tmp_path, 0).exists()
    assert "level 0: done" in lines(tmp_path, 1)[2]
    assert capsys.readouterr().out.startswith("process 1: [seed 0 tickets ")  # other processes say whose lines are


def test_a_terminal_shows_a_bar(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Progress("stage", 2, "epoch") as progress:
        progress.advance(note="level 3")
        progress.skip(1)
        assert (progress.bar.n, progress.bar.initial) == (2, 1)  # what an earlier run did says nothing of the pace
    assert "stage" in capsys.readouterr().err


@pytest.mark.usefixtures("second_of_two")
def test_only_the_first_process_shows_a_bar(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Progress("stage", 2, "epoch") as progress:
        progress.advance()
        progress.skip(1)
    assert capsys.readouterr().err == ""


def test_where_nobody_looks_there_is_no_bar(capsys):
    with Progress("stage", 2, "epoch") as progress:
        progress.advance()
    assert capsys.readouterr() == ("", "")
