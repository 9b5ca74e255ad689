"""Every figure of the paper, drawn from a tiny run by the command that draws it."""

import importlib.util
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from experiments import keeping, options
from experiments.lottery_pools import __main__ as everything
from experiments.lottery_pools import runs
from experiments.lottery_pools.comparisons import counts
from experiments.lottery_pools.connectivity import figure2
from experiments.lottery_pools.paper import PAPER, PRESETS
from lpjax import run, store
from lpjax.errors import UserError
from lpjax.run.connectivity import averaged_pairs_stage

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "experiments" / "lottery_pools"
NAMES = [make.__name__ for make in everything.EXPERIMENTS]


@pytest.mark.parametrize("preset", PRESETS)
def test_the_configs_of_a_preset_are_there(preset):
    for panel in PRESETS[preset]:
        assert options.config_of(panel).imp.levels > 1


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_has_a_command_and_a_readme_with_a_place_for_the_demo_and_a_line_in_the_ledger(name):
    assert importlib.util.find_spec(f"experiments.lottery_pools.{name}.__main__")
    readme = (FOLDER / name / "README.md").read_text()
    assert "**Definition used.**" in readme
    assert "**The paper's claim.**" in readme
    assert f"python -m experiments.lottery_pools.{name} " in readme
    places = re.findall(r"<!-- (\w+) -->", readme)
    assert {"demo", "paper"} <= set(places) <= set(PRESETS)
    assert places == re.findall(r"<!-- end of (\w+) -->", readme)
    assert f"({name}/README.md)" in (FOLDER / "README.md").read_text()


def test_the_shares_of_candidates_are_the_papers():
    assert counts(19) == [3, 8]
    assert counts(10) == [2, 4]
    assert counts(3) == [1]
    assert counts(2) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workdir=nowhere"], "no run lies in nowhere"),
        (["--workdir=nowhere", "--preset=demo"], "leave out --preset and --keep"),
        (["--workdir=nowhere", "--keep"], "leave out --preset and --keep"),
        (["--seeds=0,x"], "seeds are '0,x'"),
        (["--preset=paper-like"], "invalid choice: 'paper-like'"),
    ],
)
def test_a_wrong_command_line_is_refused_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as refusal:
        options.options(arguments, "", PAPER)
    assert "\n" not in str(refusal.value)


def test_what_is_kept_goes_between_the_marks_of_the_readme_and_nowhere_else(tmp_path):
    readme = tmp_path / "figure0" / "README.md"
    readme.parent.mkdir()
    readme.write_text("before\n<!-- demo -->\nold\n<!-- end of demo -->\nafter\n")
    given = options.options(["--keep", "--seeds=3,4"], "", PAPER._replace(folder=tmp_path))
    table = pd.DataFrame({"a": [1]})
    keeping.write(given, "figure0", {}, {"table": table}, lambda kept, preset: f"{preset}: {kept['table']['a'].sum()}")
    text = readme.read_text()
    assert text.startswith("before\n<!-- demo -->\ndemo: 1\n\nSeeds 3, 4; ")
    assert text.endswith("\n<!-- end of demo -->\nafter\n")
    assert (tmp_path / "figure0" / "demo" / "table.csv").read_text() == "a\n1\n"
    with pytest.raises(ValueError, match="has no place for the preset 'paper'"):
        keeping.write(given._replace(preset="paper"), "figure0", {}, {}, lambda kept, preset: "new")


def test_nothing_is_built_or_analyzed_where_another_run_is(tmp_path):
    mine = runs.Run("tiny", SimpleNamespace(config=None), tmp_path, (0, 1), 3)
    with store.lock(tmp_path):
        with pytest.raises(UserError, match="is in use by process"):
            mine.build({})
        with pytest.raises(UserError, match="is in use by process"):
            mine.analyze(averaged_pairs_stage, "averaged_pairs")


@pytest.mark.slow
def test_all_experiments_can_be_made_of_a_run_that_is_there(finished, tmp_path):
    workdir = shutil.copytree(finished, tmp_path / "tiny")
    config = store.read_json(workdir / "config.json")
    config["corruptions"]["images"] = 20  # each network sees them corrupted in ninety ways
    store.write_json(workdir / "config.json", config)
    given = options.options([f"--workdir={workdir}", f"--out={tmp_path}"], "", PAPER)
    everything.everything(given)
    assert not (tmp_path / "tiny_0it").exists()
    for name in NAMES:
        written = {path.suffix for path in (tmp_path / "own" / name).iterdir()}
        assert ".csv" in written
        assert name.startswith("table") or {".png", ".pdf"} <= written
    statistics = pd.read_csv(tmp_path / "own" / "figure7" / "statistics.csv")
    pairs = set(zip(statistics["method"], statistics["base"], strict=True))
    assert {("interpolation_of_3", base) for base in ("ticket", "recalibrated", "ensemble_logits")} <= pairs
    searched = {path.name for path in (workdir / "seed_0" / "pools").iterdir()}
    assert {"coefficients_11", "candidates_2", "prune_during"} <= searched  # the run's own interpolation is another


@pytest.mark.slow
def test_a_run_is_compared_with_the_tickets_beside_it_that_start_again(finished, tiny_config, tmp_path):
    workdir = shutil.copytree(finished, tmp_path / "tiny")
    config = tiny_config()
    config.imp.rewind = "0it"
    config.pool.methods = ()
    run.run(config, tmp_path / "tiny_0it")
    given = options.options([f"--workdir={workdir}", f"--out={tmp_path}"], "", PAPER)
    figure2(given)
    paths = pd.read_csv(tmp_path / "own" / "figure2" / "paths.csv")
    assert set(paths["setting"]) == {"rewinding", "no rewinding"}
    with pytest.raises(ValueError, match="has no seed 7; it has 0"):
        options.options([f"--workdir={workdir}", "--seeds=7"], "", PAPER)
    with pytest.raises(ValueError, match="give one --workdir"):
        figure2(given._replace(panels=given.panels * 2))
