import sys
from pathlib import Path

import pytest

from lpjax import cli, main, store
from lpjax.store import paths
from lpjax.version import __version__


@pytest.fixture
def command(capsys):
    """Calls `lpjax` within this process; returns its exit code and what it printed on stdout and stderr."""

    def command(*arguments):
        code = 0
        try:
            cli.main(arguments)
        except SystemExit as end:
            code = end.code
        out, err = capsys.readouterr()
        return code, out, err

    return command


@pytest.fixture
def started(monkeypatch):
    """Takes the place of the run; lists the command lines that it was given."""
    lines = []
    monkeypatch.setattr(sys, "argv", [])
    monkeypatch.setattr(main, "start", lambda: lines.append(sys.argv[1:]))
    return lines


def test_help_lists_every_command_and_the_configs(command):
    code, out, _ = command()
    assert code == 0
    for word, described in cli.COMMANDS.items():
        assert f"  {word:<8}{described.about}" in out
    assert "  digits_resnet8\n" in out
    assert command("--help") == command("-h") == (0, out, "")


def test_the_version_is_the_packages(command):
    assert command("--version") == (0, f"lpjax {__version__}\n", "")


def test_an_unknown_command_is_one_line_with_exit_code_2(command):
    code, out, err = command("prune")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "'prune'" in err


@pytest.mark.parametrize("word", [word for word in cli.COMMANDS if word not in ("run", "plan")])
def test_every_command_explains_itself(command, word):
    code, out, _ = command(word, "--help")
    assert code == 0
    assert out.startswith(f"usage: lpjax {word} ")


def test_an_export_that_is_not_there_is_one_line_with_exit_code_2(command, tmp_path):
    code, out, err = command("export", str(tmp_path), str(tmp_path / "ticket.lpz"))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert command("import", str(tmp_path / "none.lpz"), str(tmp_path / "levels"))[0] == 2


@pytest.mark.slow
def test_a_pool_is_exported_and_imported_as_a_level_of_another_seed(command, finished, tmp_path):
    pool = paths.pool(finished, 0, "interpolation", 1)
    file = str(tmp_path / "pool.lpz")
    code, out, _ = command("export", str(pool), file, "--dtype=float16")
    assert (code, out.count("\n")) == (0, 2)
    code, out, _ = command("import", file, str(tmp_path / "levels"), "--seed=3", "--level=0")
    assert code == 0
    ours, theirs = (store.read_json(paths.summary(level)) for level in (paths.level(tmp_path / "levels", 3, 0), pool))
    assert (ours["kept"], ours["validation_accuracy"]) == (theirs["kept"], theirs["value"])
    assert command("import", file, str(tmp_path / "others"), "--seed=-1")[0] == 2
    assert not (tmp_path / "others").exists()


@pytest.mark.parametrize("word", ["show", "cite"])
def test_a_directory_that_is_not_there_is_one_line_with_exit_code_2(command, word, tmp_path):
    code, out, err = command(word, str(tmp_path / "none"))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1


def test_a_run_takes_the_name_of_a_config_or_its_path(command, started):
    command("run", "--config=suptickets_digits_resnet8:rigl,0.95", "--workdir=here")
    command("run", "--config=configs/digits_resnet8.py", "--config.seeds=0,1")
    named, given = started
    path, _, argument = named[0].removeprefix("--config=").partition(":")
    assert Path(path).is_file()
    assert argument == "rigl,0.95"
    assert named[1] == "--workdir=here"
    assert given == ["--config=configs/digits_resnet8.py", "--config.seeds=0,1"]


def test_a_config_may_follow_its_flag_as_a_word_of_its_own(command, started):
    command("run", "--config", "digits_resnet8", "--workdir", "here")
    assert started[0][0].endswith("digits_resnet8.py")
    assert started[0][1] == "--workdir=here"


def test_an_unknown_config_is_one_line_that_names_the_nearest(command, started):
    code, _, err = command("run", "--config=digits_resnet", "--workdir=here")
    assert (code, started) == (2, [])
    assert "digits_resnet8" in err
    assert err.count("\n") == 1


def test_a_plan_is_a_run_that_computes_nothing(command, started):
    command("plan", "--workdir=here")
    assert started == [["--workdir=here", "--plan"]]
