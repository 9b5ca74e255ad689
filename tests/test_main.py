"""The command line, as a user types it: a mistake costs one line and exit code 2."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lpjax import main, store
from lpjax.run import Preempted, run

ROOT = Path(__file__).parent.parent
DEMO = "--config=configs/digits_resnet8.py"


def lpjax(*arguments):
    laptop = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}  # one device, not eight
    command = [sys.executable, "-m", "lpjax.main", *arguments]
    return subprocess.run(command, cwd=ROOT, env=laptop, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((DEMO,), "--workdir is missing"),
        (("--workdir=W",), "--config is missing"),
        (("--config=configs/none.py", "--workdir=W"), "configs/none.py"),
        ((DEMO, "--workdir=W", "--config.imp.levls=3"), "imp.levls"),
        ((DEMO, "--workdir=W", "--config.imp.levels=many"), "levels"),
        ((DEMO, "--workdir=W", "--config.model=resnet81"), "did you mean"),
        ((DEMO, "--workdir=W", "--config.dataset=digitz"), "digitz"),
        ((DEMO, "--workdir=W", "--wrokdir=x"), "wrokdir"),
        ((DEMO, "--workdir=W", "extra"), "extra"),
        (("--config=README.md", "--workdir=W"), "lpjax:"),
        (("--config=configs/suptickets_digits_resnet8.py:rigel,0.9", "--workdir=W"), "lpjax: unknown method 'rigel'"),
        (("--config=configs/suptickets_digits_resnet8.py:rigl", "--workdir=W"), "write METHOD,SPARSITY"),
    ],
)
def test_a_mistake_costs_one_line_and_exit_code_two(tmp_path, arguments, said):
    outcome = lpjax(*(a.replace("=W", f"={tmp_path / 'work'}") for a in arguments))
    assert outcome.returncode == 2, outcome.stderr
    assert len(outcome.stderr.strip().splitlines()) == 1, outcome.stderr
    assert said in outcome.stderr
    assert "Traceback" not in outcome.stderr


@pytest.mark.slow
def test_the_demo_shortened_leaves_a_report_and_resumes_at_once(tmp_path):
    shorter = ("--config.train.duration=2ep", "--config.train.milestones=()", "--config.imp.rewind=1ep")
    smaller = ("--config.imp.levels=2", "--config.width=4", "--config.train_images=60", "--config.validation=60")
    command = (DEMO, f"--workdir={tmp_path / 'demo'}", *shorter, *smaller)
    first = lpjax(*command)
    assert first.returncode == 0, first.stderr
    page = Path(first.stdout.strip().splitlines()[-1].removeprefix("report: "))
    assert page.exists()
    assert "level  1: kept" in first.stdout
    again = lpjax(*command)
    assert again.returncode == 0, again.stderr
    assert again.stdout == f"report: {page}\n"


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (ValueError("seeds are (); give one"), 2, "lpjax: seeds are (); give one"),
        (store.StorageError("cannot write runs/x: No space left"), 2, "lpjax: cannot write runs/x: No space left"),
        (OSError(28, "No space left on device", "runs/x"), 2, "lpjax: runs/x: No space left on device; mend that"),
        (PermissionError(13, "Permission denied", "data"), 2, "lpjax: data: Permission denied; mend that"),
        (KeyboardInterrupt(), 130, "lpjax: stopped; the same command goes on where this one was"),
        (Preempted(2), 130, "lpjax: stopped; the same command goes on where this one was"),
        (Preempted(), 143, "lpjax: stopped by SIGTERM; the same command goes on where this one was"),
    ],
)
def test_whatever_stops_a_run_it_costs_one_line(tmp_path, monkeypatch, capsys, raised, code, said):
    def stopped(*arguments):
        raise raised

    monkeypatch.setattr(main, "run", stopped)
    monkeypatch.setattr(main, "remember_compilations", lambda: None)
    monkeypatch.setattr(main, "_CONFIG", SimpleNamespace(value={"distributed": "none"}))
    monkeypatch.setattr(main, "_WORKDIR", SimpleNamespace(value=tmp_path / "work"))
    with pytest.raises(SystemExit) as end:
        main.main(["lpjax.main"])
    assert end.value.code == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(said)


def test_what_is_nobody_s_mistake_keeps_its_traceback(tmp_path, monkeypatch):
    def broken(*arguments):
        raise TypeError("ours")

    monkeypatch.setattr(main, "run", broken)
    monkeypatch.setattr(main, "remember_compilations", lambda: None)
    monkeypatch.setattr(main, "_CONFIG", SimpleNamespace(value={"distributed": "none"}))
    monkeypatch.setattr(main, "_WORKDIR", SimpleNamespace(value=tmp_path / "work"))
    with pytest.raises(TypeError, match="ours"):
        main.main(["lpjax.main"])


def test_a_second_run_on_a_work_directory_is_refused(tmp_path, tiny_config):
    with store.lock(tmp_path / "work"), pytest.raises(ValueError, match=r"work is in use by process \d+ on"):
        run(tiny_config(), tmp_path / "work")
