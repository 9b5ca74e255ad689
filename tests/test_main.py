"""The command line, as a user types it: a mistake costs one line and exit code 2, a bug keeps its traceback."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from absl import flags, logging
from absl.testing import flagsaver

from lpjax import main, run, store
from lpjax.errors import StorageError, UserError
from lpjax.run import hosts
from lpjax.run.settings import SETTINGS
from lpjax.store import paths

pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")  # of ml_collections

ROOT = Path(__file__).parent.parent
DEMO = "--config=configs/digits_resnet8.py"
SMALL = (
    "--config.train.duration=2ep",
    "--config.train.milestones=()",
    "--config.imp.rewind=1ep",
    "--config.imp.levels=2",
    "--config.width=4",
    "--config.train_images=60",
    "--config.validation=60",
    '--config.pool.methods=("uniform",)',
)
CONFIG = """
from lpjax.run import default_config

def get_config():
    config = default_config()
    config.dataset, config.validation, config.model = "digits", 60, "resnet8"
    return config
"""


def subprocess_of(*arguments, **environment):
    laptop = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}  # one device, not eight
    command = [sys.executable, "-m", "lpjax.main", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=laptop | environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture
def lpjax(monkeypatch, capsys, one_device, tiny_network):
    """Calls the command within this process; returns its exit code and what it printed."""
    del one_device, tiny_network
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(main, "remember_compilations", lambda: None)
    verbosity = logging.get_verbosity()

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["lpjax.main", *arguments])
        known = set(flags.FLAGS)
        code = 0
        with flagsaver.flagsaver():
            try:
                main.main(main.parse(sys.argv))
            except SystemExit as end:
                code = end.code or 0
            finally:
                for name in set(flags.FLAGS) - known:  # those of the config's fields
                    delattr(flags.FLAGS, name)
        return code, *capsys.readouterr()

    yield call
    logging.set_verbosity(verbosity)


def assert_one_line(code, errors, *named):
    assert code == 2, errors
    assert len(errors.strip().splitlines()) == 1, errors
    assert errors.startswith("lpjax: ")
    assert all(name in errors for name in named), errors


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((DEMO,), "--workdir"),
        (("--workdir=W",), "--config"),
        (("--config=configs/none.py", "--workdir=W"), "configs/none.py"),
        ((DEMO, "--workdir=W", "--config.imp.levls=3"), "imp.levels"),
        ((DEMO, "--workdir=W", "--config.pool.newcomers=3"), "pool.candidates"),
        ((DEMO, "--workdir=W", "--config.imp.levels=many"), "levels"),
        ((DEMO, "--workdir=W", "--config.imp.levels=0"), "imp.levels"),
        ((DEMO, "--workdir=W", "--config.model=resnet81"), "did you mean 'resnet8'"),
        ((DEMO, "--workdir=W", "--config.dataset=digitz"), "digitz"),
        ((DEMO, "--workdir=W", "--wrokdir=x"), "wrokdir"),
        ((DEMO, "--workdir=W", "extra"), "extra"),
        (("--config=README.md", "--workdir=W"), "README.md"),
        (("--config=configs/suptickets_digits_resnet8.py:rigel,0.9", "--workdir=W"), "did you mean 'rigl'"),
        (("--config=configs/suptickets_digits_resnet8.py:rigl", "--workdir=W"), "METHOD,SPARSITY"),
        ((DEMO, "--workdir=W/config.json/deeper"), "choose another"),
    ],
)
def test_a_mistake_costs_one_line_and_exit_code_two(lpjax, tmp_path, arguments, named):
    (tmp_path / "config.json").write_text("{}")
    code, _, errors = lpjax(*(argument.replace("=W", f"={tmp_path}") for argument in arguments))
    assert_one_line(code, errors, named)


@pytest.mark.slow
def test_a_mistake_ends_a_process_of_its_own_with_one_line_too(tmp_path):
    ended = subprocess_of(DEMO, f"--workdir={tmp_path / 'work'}", "--config.model=resnet81")
    assert_one_line(ended.returncode, ended.stderr, "did you mean 'resnet8'")
    assert ended.stdout == ""


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("1/0", ("ZeroDivisionError", "line 2")),
        ("import nowhere", ("nowhere", "line 2")),
        ("def get_config(", ("SyntaxError", "line 2")),
        ("import json\njson.loads('{')", ("JSONDecodeError", "line 3")),  # and not the line of the library
        ("from lpjax.errors import UserError\nraise UserError('mend this')", ("mend this",)),
    ],
)
@pytest.mark.parametrize("more", [(), ("--config.seeds=(1,)",)])
def test_a_config_file_that_fails_is_named_with_its_error_and_line_in_one_line(lpjax, tmp_path, text, named, more):
    file = tmp_path / "mine.py"
    file.write_text(f"# my config\n{text}\n")
    code, _, errors = lpjax(f"--config={file}", f"--workdir={tmp_path / 'work'}", *more)
    assert_one_line(code, errors, *named)
    assert ("line" in str(named)) == (str(file) in errors)


def test_a_config_file_may_use_devices(lpjax, tmp_path, monkeypatch):
    for name in os.environ:
        if name.startswith(run.hosts._LAUNCHERS):
            monkeypatch.delenv(name)
    file = tmp_path / "mine.py"
    file.write_text(f"import jax.numpy as jnp\nONES = jnp.ones(3)\n{CONFIG}")
    code, out, errors = lpjax(f"--config={file}", f"--workdir={tmp_path / 'work'}", "--plan")
    assert (code, errors) == (0, "")
    assert "seed 0 tickets: 0 of 19 done" in out


def test_help_lists_every_setting_with_its_default(lpjax):
    code, out, errors = lpjax("--help")
    assert (code, errors) == (0, "")
    assert re.findall(r"^ +--config\.([\w.]+)=", out, re.M) == list(SETTINGS)


def test_a_plan_prints_the_stages_and_writes_nothing(lpjax, tmp_path):
    code, out, _ = lpjax(DEMO, f"--workdir={tmp_path / 'work'}", "--plan", *SMALL)
    assert code == 0
    assert out.splitlines() == [
        "seed 0 tickets: 0 of 2 done",
        "seed 0 pools: 0 of 2 done",
        "seed 0 evaluation: 0 of 4 done",
    ]
    assert not (tmp_path / "work").exists()


@pytest.mark.slow
def test_the_demo_shortened_leaves_a_report_and_resumes_at_once(lpjax, tmp_path):
    workdir = tmp_path / "demo"
    network = ("--config.model=tests.networks:one_convolution", "--config.width=8")
    command = (DEMO, f"--workdir={workdir}", *SMALL, *network)
    code, out, errors = lpjax(*command)
    assert code == 0, errors
    assert "level  1: kept" in out
    assert out.splitlines()[-1] == f"report: {paths.report(workdir)}"
    assert paths.report(workdir).exists()
    assert "--config.imp.levels=2" in paths.command(workdir).read_text()
    assert lpjax(*command)[:2] == (0, f"report: {paths.report(workdir)}\n")
    store.remove(paths.ticket(paths.level(workdir, 0, 1)))
    shown = lpjax(*command, "--plan")[1].splitlines()
    assert shown[0] == f"seed 0 tickets: 1 of 2 done, next {paths.level(workdir, 0, 1)}"
    shutil.rmtree(workdir / "report")
    code, _, errors = lpjax(*command, "--config.imp.levels=3")
    assert_one_line(code, errors, "imp.levels")


@pytest.fixture
def stopping(monkeypatch, lpjax, tmp_path):
    """Calls the command with a run that raises something."""

    def call(raised):
        def stopped(*arguments):
            raise raised

        monkeypatch.setattr(run, "run", stopped)
        return lpjax(DEMO, f"--workdir={tmp_path / 'work'}", "--config.distributed=none")

    return call


@pytest.mark.parametrize(
    ("raised", "code", "named"),
    [
        (UserError("seeds: got (), expected one"), 2, "seeds: got (), expected one"),
        (hosts.ReplicatedError("in two\nlines"), 2, "in two lines"),
        (StorageError("cannot write runs/x: No space left"), 2, "cannot write runs/x: No space left"),
        (store.DamagedTicket(Path("runs/x"), "missing"), 2, "runs/x"),
        (KeyboardInterrupt(), 130, "the same command resumes"),
        (run.Preempted(2), 130, "the same command resumes"),
        (run.Preempted(), 143, "by SIGTERM"),
    ],
)
def test_whatever_else_stops_a_run_it_costs_one_line(stopping, raised, code, named):
    ended, _, errors = stopping(raised)
    assert ended == code
    assert len(errors.splitlines()) == 1
    assert errors.startswith("lpjax: ")
    assert named in errors


@pytest.mark.parametrize("bug", [ValueError("ours"), TypeError("ours"), OSError(5, "of nobody's disk"), KeyError("x")])
def test_a_bug_keeps_its_traceback(stopping, bug):
    with pytest.raises(type(bug)) as caught:
        stopping(bug)
    assert caught.value is bug


MODEL = """
import flax.linen as nn

class Mine(nn.Module):
    classes: int
    dtype: object = None
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x, train=False):
        raise ValueError("a bug in my own network")
"""


@pytest.mark.slow
def test_a_bug_in_a_user_s_own_network_keeps_its_traceback_and_ends_with_exit_code_one(tmp_path):
    (tmp_path / "mine.py").write_text(MODEL)
    ended = subprocess_of(
        DEMO, f"--workdir={tmp_path / 'work'}", "--config.model=mine:Mine", *SMALL[:4], PYTHONPATH=str(tmp_path)
    )
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" in ended.stderr
    assert "mine.py" in ended.stderr
    assert "ValueError: a bug in my own network" in ended.stderr


@pytest.fixture
def one_of_several(monkeypatch):
    """This process belongs to a run of several; where it would leave without waiting, `Left` is raised."""

    class Left(BaseException):
        pass

    def leave(code):
        raise Left(code)

    monkeypatch.setattr(jax.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(jax.distributed, "shutdown", lambda: None)
    monkeypatch.setattr(os, "_exit", leave)
    return Left


def test_a_bug_on_one_of_several_processes_ends_it_with_its_traceback_so_that_the_others_notice(
    stopping, one_of_several, capsys
):
    with pytest.raises(one_of_several) as left:
        stopping(ValueError("ours"))
    assert left.value.args == (1,)
    assert "Traceback" in capsys.readouterr().err


def test_a_process_whose_run_has_lost_another_one_says_so_in_one_line(stopping, one_of_several, capsys):
    with pytest.raises(one_of_several) as left:
        stopping(ValueError("UNAVAILABLE: Task /job:jax_worker/task:1 heartbeat timeout\nmore"))
    assert left.value.args == (1,)
    errors = capsys.readouterr().err
    assert len(errors.splitlines()) == 1
    assert "process 0 cannot continue: UNAVAILABLE" in errors


def test_a_second_run_on_a_work_directory_is_refused(tmp_path, tiny_config):
    with store.lock(tmp_path / "work"), pytest.raises(UserError, match=r"work is in use by process \d+ on"):
        run.run(tiny_config(), tmp_path / "work")
