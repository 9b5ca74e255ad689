"""The command that writes the page of a run in whatever state it is."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lpjax import store
from lpjax.report.__main__ import main
from lpjax.store import paths

ROOT = Path(__file__).parents[2]


@pytest.fixture
def write(capsys, words_only, read_page):
    """Runs the command; gives what it said and the page."""
    del words_only

    def write(*argv):
        main([str(argument) for argument in argv])
        said = capsys.readouterr().out
        return said, read_page(Path(said.splitlines()[-1].removeprefix("report: ")))

    return write


@pytest.fixture
def refuse(capsys):
    def refuse(*argv):
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in argv])
        assert caught.value.code == 2
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("lpjax: ")
        assert captured.err.count("\n") == 1
        return captured.err

    return refuse


@pytest.fixture
def cut(tmp_path, build):
    """A run of two seeds, killed in the last level of the second."""
    build(tmp_path, methods=("interpolation",))
    paths.results(tmp_path).unlink()
    directory = paths.level(tmp_path, 1, 2)
    paths.summary(directory).unlink()
    with paths.metrics(directory).open("a") as file:
        file.write('{"epoch": 4.0, "valid')
    for method, level in (("interpolation", 1), ("interpolation", 2)):
        shutil.rmtree(paths.pool(tmp_path, 1, method, level))
    paths.trace(paths.pool(tmp_path, 1, "interpolation", 0)).unlink()
    store.write_text(paths.log(tmp_path, 0), "2026-05-01 12:00 node-7 42 level 2\n")
    store.write_text(paths.command(tmp_path), "python -m lpjax.main --config='a b'.py\n")
    return tmp_path


def test_a_finished_run_has_its_page_and_lacks_nothing(tmp_path, build, write):
    said, page = write(build(tmp_path))
    assert said == f"report: {paths.report(tmp_path)}\n"
    assert "How far it is" not in page.text


def test_a_killed_run_shows_how_far_it_was_and_its_last_line(cut, write):
    said, page = write(cut)
    assert "seed 1 has 2 of 3 tickets, 1 of 3 pools" in said.splitlines()[0]
    assert "Seed 1: 2 of 3 tickets, 1 of 3 pools. Level 2 is at epoch 3." in page.text
    assert "Seed 0: 3 of 3 tickets, 3 of 3 pools." in page.text
    assert "2026-05-01 12:00 node-7 42 level 2" in page.text
    assert "python -m lpjax.main --config='a b'.py" in page.text


def test_tickets_so_far_are_shown_with_their_validation_accuracy(cut, write):
    summary = {"kept": 800, "density": 0.8, "epoch": 2.0, "validation_accuracy": 0.6125}
    store.write_json(paths.summary(paths.level(cut, 0, 1)), summary)
    page = write(cut)[1]
    assert ["level", "density", "weights kept", "seed 0"] in page.table
    assert ["1", "0.8000", "800", "61.25"] in page.table


def test_a_sparse_run_that_is_cut_off_has_the_same_sections(tmp_path, build_sparse, write):
    paths.results(build_sparse(tmp_path)).unlink()
    paths.summary(paths.level(tmp_path, 2, 3)).unlink()
    summary = {"kept": 50, "density": 0.05, "epoch": 20.0, "validation_accuracy": 0.5}
    store.write_json(paths.summary(paths.level(tmp_path, 0, 0)), summary)
    page = write(tmp_path)[1]
    assert ["base network", "0.0500", "50", "50.00"] in page.table


def test_a_directory_that_is_claimed_and_empty_has_a_page(tmp_path, build, write):
    config = store.read_json(paths.config(build(tmp_path / "whole", seeds=(0,), methods=())))
    store.write_json(paths.config(tmp_path / "new"), config)
    said, page = write(tmp_path / "new")
    assert "seed 0 has 0 of 3 tickets" in said.splitlines()[0]
    assert "Seed 0: 0 of 3 tickets, 0 of 0 pools." in page.text


def test_a_directory_that_must_not_change_is_left_alone(cut, write, tmp_path_factory):
    before = sorted(path for path in cut.rglob("*"))
    out = tmp_path_factory.mktemp("out") / "pages"
    said, page = write(cut, "--out", out)
    assert said.splitlines()[-1] == f"report: {out / 'report.html'}"
    assert "How far it is" in page.text
    assert sorted(path for path in cut.rglob("*")) == before


def test_a_copy_elsewhere_has_a_page(cut, write, tmp_path_factory):
    copy = tmp_path_factory.mktemp("copy") / "moved"
    shutil.copytree(cut, copy)
    assert write(copy)[0].splitlines()[-1] == f"report: {paths.report(copy)}"


def test_where_the_page_cannot_lie_another_place_is_offered(cut, refuse, words_only):
    paths.report(cut).parent.write_text("a file, and no directory")
    said = refuse(cut)
    assert str(paths.report(cut)) in said
    assert "--out=DIR" in said


def test_a_full_disk_is_one_line_and_leaves_the_old_page(tmp_path, build, words_only, refuse, monkeypatch):
    build(tmp_path)
    store.write_text(paths.report(tmp_path), "the old page")

    def full(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        assert "No space left on device" in refuse(tmp_path)
    assert paths.report(tmp_path).read_text() == "the old page"


def test_what_is_no_work_directory_is_refused_in_one_line(tmp_path, refuse):
    assert f"{tmp_path}/nowhere" in refuse(tmp_path / "nowhere")
    assert f"{tmp_path} " in refuse(tmp_path)
    paths.config(tmp_path).write_text('{"name": "another program\'s"}')
    assert f"{tmp_path} " in refuse(tmp_path)
    paths.config(tmp_path).write_text('{"seeds": [0')
    assert "config.json" in refuse(tmp_path)
    assert "workdir" in refuse()
    assert "--outt" in refuse(tmp_path, "--outt=x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json"]


@pytest.mark.slow
def test_the_command_touches_no_device_and_no_lock(cut):
    paths.lock(cut).write_text("held")
    environment = os.environ | {"JAX_PLATFORMS": "none_such"}  # any use of a device would raise
    command = [sys.executable, "-m", "lpjax.report", str(cut)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == f"report: {paths.report(cut)}"
    assert paths.lock(cut).read_text() == "held"
