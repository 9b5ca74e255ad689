"""Every figure of the paper, drawn from a tiny run by the command that draws it."""

import importlib
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from experiments.lottery_pools import __main__ as everything
from experiments.lottery_pools import keeping, setting

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "experiments" / "lottery_pools"
NEWCOMERS = importlib.import_module("experiments.lottery_pools.figure4.__main__").counts


@pytest.mark.parametrize("preset", setting.PRESETS)
def test_the_configs_of_a_preset_are_there(preset):
    for panel in setting.PRESETS[preset]:
        assert setting.config_of(panel).imp.levels > 1


@pytest.mark.parametrize("name", everything.EXPERIMENTS)
def test_an_experiment_has_a_readme_with_a_place_for_the_demo_and_a_line_in_the_ledger(name):
    readme = (FOLDER / name / "README.md").read_text()
    assert "**Definition used.**" in readme
    assert "**The paper's claim.**" in readme
    assert f"python -m experiments.lottery_pools.{name} " in readme
    places = re.findall(r"<!-- (\w+) -->", readme)
    assert {"demo", "paper"} <= set(places) <= set(setting.PRESETS)
    assert places == re.findall(r"<!-- end of (\w+) -->", readme)
    assert f"({name}/README.md)" in (FOLDER / "README.md").read_text()


def test_the_shares_of_newcomers_are_the_papers():
    assert NEWCOMERS(19) == [3, 8]
    assert NEWCOMERS(10) == [2, 4]
    assert NEWCOMERS(3) == [1]
    assert NEWCOMERS(2) == []


def test_a_work_directory_that_is_none_is_refused_in_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        setting.options([f"--workdir={tmp_path}"], "")
    assert stop.value.code == 2
    assert f"no run lies in {tmp_path}" in capsys.readouterr().err


def test_what_is_kept_goes_between_the_marks_of_the_readme_and_nowhere_else(tmp_path, monkeypatch):
    monkeypatch.setattr(keeping, "HERE", tmp_path)
    readme = tmp_path / "figure0" / "README.md"
    readme.parent.mkdir()
    readme.write_text("before\n<!-- demo -->\nold\n<!-- end of demo -->\nafter\n")
    options = setting.options(["--keep", "--seeds=3,4"], "")
    keeping.write(options, "figure0", {}, {"table": pd.DataFrame({"a": [1]})}, "new")
    text = readme.read_text()
    assert text.startswith("before\n<!-- demo -->\nnew\n\nSeeds 3, 4; ")
    assert text.endswith("\n<!-- end of demo -->\nafter\n")
    assert (tmp_path / "figure0" / "demo" / "table.csv").read_text() == "a\n1\n"
    with pytest.raises(ValueError, match="has no place for the preset 'paper'"):
        keeping.write(options._replace(preset="paper"), "figure0", {}, {}, "new")


@pytest.mark.slow
def test_all_experiments_can_be_made_of_a_run_that_is_there(finished, tmp_path):
    workdir = shutil.copytree(finished, tmp_path / "tiny")
    options = setting.options([f"--workdir={workdir}", "--seeds=0", f"--out={tmp_path}"], "")
    everything.make(options)
    for name in everything.EXPERIMENTS:
        written = {path.suffix for path in (tmp_path / "own" / name).iterdir()}
        assert ".csv" in written
        assert name.startswith("table") or {".png", ".pdf"} <= written
    statistics = pd.read_csv(tmp_path / "own" / "figure7" / "statistics.csv")
    assert set(statistics["method"]) == {"interpolation_of_3", "ensemble_logits", "ensemble_probabilities"}
