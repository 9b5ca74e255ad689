"""The command line, as a user types it: a mistake costs one line and exit code 2."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
