"""Every table and figure of Sup-tickets: what it is made of, and all of them from a tiny run."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments import options
from experiments.sup_tickets import __main__ as everything
from experiments.sup_tickets import accuracy, costs, drawing, pairs, paper, uncertainty, variants, words
from lpjax import run
from lpjax.report import style
from lpjax.train import phases

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "experiments" / "sup_tickets"
CIA = style.look("cia")
NAMES = [make.__name__ for make in everything.EXPERIMENTS]


def read(*arguments):
    return options.options(arguments, "", paper.PAPER)


@pytest.mark.parametrize("preset", paper.PAPER.presets)
def test_the_configs_of_a_preset_are_there(preset):
    for panel in paper.PAPER.presets[preset]:
        config = options.config_of(panel, "rigl,0.9")
        assert config.sparse.method == "rigl"
        assert config.sparse.density == pytest.approx(0.1)


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_has_a_command_and_a_readme_with_a_place_for_its_presets_and_a_line_in_the_ledger(name):
    assert importlib.util.find_spec(f"experiments.sup_tickets.{name}.__main__")
    readme = (FOLDER / name / "README.md").read_text()
    assert "**Definition used.**" in readme
    assert "**The paper's claim.**" in readme
    assert f"python -m experiments.sup_tickets.{name} " in readme
    places = re.findall(r"<!-- (\w+) -->", readme)
    left_out = {preset for preset, make in everything.LEFT_OUT.items() if make.__name__ == name}
    assert set(places) == set(paper.PAPER.presets) - left_out
    assert places == re.findall(r"<!-- end of (\w+) -->", readme)
    assert f"({name}/README.md)" in (FOLDER / "README.md").read_text()


def test_the_demo_has_five_seeds_and_the_paper_three():
    assert read().preset == "demo"
    assert read().seeds == (2, 3, 4, 5, 6)
    assert read("--preset=paper").seeds == (0, 1, 2)
    assert read("--seeds=7").seeds == (7,)
    assert read().runs == Path("runs/sup_tickets")


def test_an_option_of_the_other_paper_is_refused():
    with pytest.raises(ValueError, match="corruptions_dir"):
        read("--corruptions_dir=somewhere")


def test_a_table_without_a_network_of_the_preset_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r"no network for it in preset 'demo'; give --preset=paper") as refusal:
        accuracy.table2(read())
    assert "\n" not in str(refusal.value)


def test_a_run_without_sparse_training_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"seeds": [0], "model": "resnet8", "dataset": "digits"}')
    with pytest.raises(ValueError, match="iterative pruning; give a run of sparse training"):
        accuracy.table1(read(f"--workdir={tmp_path}"))


@pytest.mark.parametrize("preset", ["demo", "cifar", "paper"])
def test_cycles_are_compared_with_the_configs_own(preset):
    own, *others = variants.CYCLES.get(preset, variants.PUBLISHED_CYCLES)
    assert {options.config_of(panel, "rigl,0.9").superpose.cycle for panel in paper.CIFAR100[preset]} == {own}
    assert own not in others


@pytest.mark.parametrize("count", [1, 2, 4, 7])
def test_the_share_of_training_gives_as_many_cycles_as_asked(count):
    share = variants.share
    assert phases(250, share("250ep", "8ep", count), 8).cycles == count
    assert phases(80, share("80ep", "4ep", count), 4).cycles == count


def test_a_comparison_is_made_within_seeds_and_within_images():
    better = {0: np.array([True, True, True, False]), 1: np.array([True, True, False, False])}
    worse = {0: np.array([True, True, False, False]), 1: np.array([True, False, False, False])}
    pair = pairs.compare(better, worse)
    assert (pair["seeds"], pair["above"], pair["below"]) == (2, 2, 0)
    assert (pair["base"], pair["value"], pair["difference"]) == (0.375, 0.625, 0.25)
    assert (pair["difference_std"], pair["low"], pair["high"]) == (0, 0.25, 0.25)  # alike in both seeds
    assert pair["images_low"] < pair["difference"] < pair["images_high"]  # two images carry it all


def test_only_seeds_of_both_are_compared():
    assert pairs.compare_values({0: 1.0, 1: 2.0}, {1: 1.0, 2: 5.0})["difference"] == 1
    with pytest.raises(ValueError, match="no seed has both"):
        pairs.compare_values({0: 1.0}, {1: 1.0})


@pytest.fixture
def table():
    labels = {"network": "tiny", "method": "rigl"}
    up, down = pairs.compare_values({0: 0.5, 1: 0.7}, {0: 0.4, 1: 0.6}), pairs.compare_values({0: 0.25}, {0: 0.5})
    return pd.DataFrame([labels | {"sparsity": 0.95} | up, labels | {"sparsity": 0.9} | down])


def test_a_comparison_in_words_has_points_and_intervals(table):
    head, _, first, second = words.comparisons(table, words.LABELS, "with", "alone").splitlines()
    assert head == (
        "| network | method | sparsity | alone | with | difference (points) | 95 % over seeds | 95 % over images | "
        "seeds above, below |"
    )
    assert first == (
        "| tiny | rigl | 0.95 | 0.5000 ± 0.1414 | 0.6000 ± 0.1414 | +10.00 ± 0.00 | +10.00 to +10.00 |  | 2, 0 of 2 |"
    )
    assert second == "| tiny | rigl | 0.9 | 0.5000 | 0.2500 | -25.00 |  |  | 0, 1 of 1 |"


def test_losses_are_counted_like_gains(table):
    assert words.count(table).startswith("Above its base in 1 of 2 comparisons, below in 1;")


def test_an_order_is_the_one_found():
    means = pd.DataFrame(
        {"network": "tiny", "sparsity": 0.9, "average": ["CIA", "CAA", "CIMA"], "value": [0.5, 0.75, 0.5]}
    )
    assert words.orders(means, ["network", "sparsity"], "average") == "- tiny, 0.9: CAA > CIA = CIMA"


def test_curves_leave_out_what_a_panel_lacks():
    points = pd.DataFrame({"x": ["a", "b"], "curve": "one", "seed": 0, "value": [1.0, 2.0]})
    looks = {"one": CIA._replace(name="one"), "two": CIA._replace(name="two")}
    figure = drawing.curves([("left", points), ("right", points.assign(curve="two"))], looks, "choice", "value")
    assert [[line.get_label() for line in axes.lines] for axes in figure.axes] == [["one"], ["two"]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one", "two"]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["a", "b"]


def test_a_table_of_diversity_averages_over_seeds_and_leaves_gaps():
    row = dict.fromkeys(uncertainty.MEASURES, 0.5) | {
        "network": "tiny",
        "method": "dense",
        "sparsity": 0.0,
        "members": 3,
    }
    row |= {"superposed": np.nan, "superposed_cost": np.nan}
    rows = [row | {"seed": 0}, row | {"seed": 1, "disagreement": 0.25}]
    measured = pd.DataFrame([r | {"method": m} for m in ("rigl", "dense") for r in rows])
    *_, sparse, dense = uncertainty.describe_ensembles({"seeds": measured}).splitlines()
    assert sparse.startswith("| tiny | rigl | 0 | 3 | 0.3750 ± 0.1768 | 0.5000 ± 0.0000 |")
    assert dense.startswith("| tiny | dense | 0 | 3 | 0.3750 | 0.5000 |"), "dense ensembles share members"
    assert dense.endswith("| 0.500× |  |  |")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_config, one_device):
    """Work directories of RigL and of the dense network, two seeds."""
    del one_device
    folder = tmp_path_factory.mktemp("runs")
    for method, density, share in (("rigl", 0.2, 0.7), ("dense", 1.0, 0.0)):
        config = tiny_config()
        config.seeds = (0, 1)
        config.sparse.method, config.sparse.density, config.sparse.every = method, density, "2it"
        config.superpose.share, config.superpose.cycle = share, "1ep"
        run.run(config, folder / method)
    return folder


@pytest.mark.slow
def test_all_experiments_can_be_made_of_runs_that_are_there(runs, tmp_path):
    trained = {path: path.stat().st_mtime_ns for path in runs.rglob("metrics.jsonl")}
    given = read(f"--workdir={runs / 'rigl'}", f"--workdir={runs / 'dense'}", f"--out={tmp_path}")
    everything.everything(given)
    assert trained == {path: path.stat().st_mtime_ns for path in runs.rglob("metrics.jsonl")}
    for name in set(NAMES) - {"settled"}:
        written = {path.suffix for path in (tmp_path / "own" / name).iterdir()}
        assert ".csv" in written
        assert name.startswith("table") or {".png", ".pdf"} <= written
    accuracy = pd.read_csv(tmp_path / "own" / "table1" / "pairs.csv").iloc[0]
    results = pd.read_csv(runs / "rigl" / "results.csv")
    test = results[(results["split"] == "test") & (results["metric"] == "accuracy")]
    base, sup = test[test["level"] == 0], test[(test["level"] == 2) & (test["method"] == "cia")]
    assert accuracy["base"] == pytest.approx(base["value"].mean(), abs=1e-6)
    assert accuracy["value"] == pytest.approx(sup["value"].mean(), abs=1e-6)
    averages = pd.read_csv(tmp_path / "own" / "figure3" / "pairs.csv").set_index("average")
    assert averages.loc["CIA", "difference"] == 0
    assert len(averages) == 8
    diversity = pd.read_csv(tmp_path / "own" / "table6" / "seeds.csv")
    assert set(diversity["method"]) == {"rigl", "dense"}
    assert (diversity["disagreement"] > 0).all()


@pytest.mark.slow
def test_masks_of_imagenet_cost_what_the_paper_says():
    masks = costs.drawn()
    erk = masks[masks["allocation"] == "ERK"].set_index("sparsity")
    assert masks["dense"].iloc[0] == pytest.approx(8.2e9, rel=0.01)
    assert erk["inference"].to_dict() == pytest.approx({0.8: 0.42, 0.9: 0.24}, abs=0.01)
    assert erk["SNFS"].to_dict() == pytest.approx({0.8: 0.61, 0.9: 0.50}, abs=0.01)
    assert erk["RigL, every 100"].to_dict() == pytest.approx({0.8: 0.42, 0.9: 0.25}, abs=0.01)
