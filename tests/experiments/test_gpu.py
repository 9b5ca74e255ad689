"""The measurements for a GPU, at the smallest size; what fits, what is skipped, and the tables by hand."""

import signal
import sys

import numpy as np
import pandas as pd
import pytest
from absl import flags
from ml_collections import config_flags

from experiments.gpu import __main__ as command
from experiments.gpu import pool, rows, runs, sparse, steps, tables
from experiments.gpu.sizes import FULL, SMALLEST, share_of_peak
from lpjax import run
from lpjax.errors import UserError

STEP = {"device": "H200", "version": "jax 1", "framework": "lpjax", "model": "resnet18", "dtype": "bfloat16"}
TIME = {"median_ms": 2.0, "iqr_ms": 0.1, "n": 10}


def test_cases_that_differ_least_from_the_first_come_first():
    cases = rows.by_importance(model=("a", "b", "c"), batch=(1, 2))
    assert [(case["model"], case["batch"]) for case in cases] == [
        ("a", 1),
        ("a", 2),
        ("b", 1),
        ("c", 1),
        ("b", 2),
        ("c", 2),
    ]


class Clock:
    """A clock that moves when something is measured."""

    def __init__(self):
        self.now = 0.0
        self.measured = []

    def __call__(self):
        return self.now

    def measure(self, case):
        self.now += case["takes"]
        self.measured.append(case["takes"])
        return TIME


def test_a_case_that_would_not_end_in_time_is_left_out_and_measured_by_the_next_call(tmp_path, capsys):
    path = tmp_path / "rows.csv"
    cases = [{"device": "mine", "takes": takes} for takes in (2, 5, 3, 1)]
    first = Clock()
    rows.measure_all(path, cases, first.measure, limit=14.0, clock=first)
    assert first.measured == [2, 5, 3]  # another 5 seconds after 10 would be too long
    assert "1 of 4 cases are left out" in capsys.readouterr().out
    second = Clock()
    rows.measure_all(path, cases, second.measure, limit=14.0, clock=second)
    assert second.measured == [1]
    assert rows.read(path)["takes"].tolist() == [2, 5, 3, 1]


def test_a_row_of_another_device_or_version_is_another_case(tmp_path):
    path = tmp_path / "rows.csv"
    case = {"device": "mine", "version": "jax 1", "recalibrate": "4096"}
    pd.DataFrame([case | TIME]).to_csv(path, index=False)
    there = rows.read(path)
    assert rows.is_there(there, case)
    for change in ({"device": "yours"}, {"version": "jax 2"}, {"recalibrate": "full"}):
        assert not rows.is_there(there, case | change)


def test_too_little_memory_leaves_a_case_out_and_other_errors_are_raised(tmp_path, capsys):
    def measure(case):
        if case["batch"] == 512:
            raise RuntimeError(case["error"])
        return TIME

    cases = [{"batch": batch, "error": "RESOURCE_EXHAUSTED: 80 GB"} for batch in (512, 128)]
    rows.measure_all(tmp_path / "rows.csv", cases, measure, limit=9.0)
    assert rows.read(tmp_path / "rows.csv")["batch"].tolist() == [128]
    assert "too little memory: 512" in capsys.readouterr().out
    with pytest.raises(RuntimeError, match="a bug"):
        rows.measure_all(tmp_path / "rows.csv", [{"batch": 512, "error": "a bug"}], measure, limit=9.0)


def test_times_of_several_steps_are_described_per_step():
    assert rows.quartiles([1.0, 2.0, 3.0, 4.0, 5.0], steps=10) == {"median_ms": 300.0, "iqr_ms": 200.0, "n": 5}


def test_shares_by_hand():
    assert share_of_peak("NVIDIA H200", "float32", 99e12) == pytest.approx(0.2)
    assert share_of_peak("Tesla V100-SXM2-16GB", "bfloat16", 12.5e12) == pytest.approx(0.1)
    assert share_of_peak("NVIDIA H100 PCIe", "bfloat16", 1e12) is None
    assert pool.share_of_training(500.0, 45_000.0) == pytest.approx(19 * 18 * 0.5 / 3296)


@pytest.mark.parametrize("size", [FULL, SMALLEST], ids=["full", "smallest"])
def test_all_windows_of_steps_are_alike(size):
    for batch in size.batches:
        assert size.training % (size.window * batch) == 0
    for steps_per_dispatch in size.dispatches:
        assert size.window % steps_per_dispatch == 0


def test_all_pieces_share_25_minutes_and_none_takes_more_than_8():
    limits = command.minutes(tuple(command.SHARES))
    assert sum(limits.values()) == pytest.approx(25)
    assert max(limits.values()) <= 8
    assert command.minutes(["steps", "pool"]) == {"steps": 8, "pool": 8}


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("--budget", "0.1"), "--budget"),
        (("--keep", "--smallest"), "--keep"),
        (("--in_process", "--pieces", "tickets"), "--in_process"),
    ],
)
def test_a_mistake_is_named(arguments, field):
    with pytest.raises(UserError, match=f"^{field}: got"):
        command.parse(list(arguments))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of how ml_collections loads a file
@pytest.mark.parametrize("piece", runs.RUNS)
def test_the_configs_of_runs_are_accepted(piece, tmp_path, monkeypatch):
    options = command.parse(["--seed", "3", "--epochs", "8", "--data_dir", "there"])
    parts = runs.command(piece, options, tmp_path)[3:]
    monkeypatch.setattr(sys, "argv", ["program", *parts])  # config_flags looks there for the fields
    values = flags.FlagValues()
    holder = config_flags.DEFINE_config_file("config", flag_values=values)
    flags.DEFINE_string("workdir", None, "", flag_values=values)
    values(["program", *parts])
    run.check(holder.value)
    assert (tuple(holder.value.seeds), holder.value.data_dir) == ((3,), "there")
    assert values.workdir == f"{tmp_path}/{piece}_seed3"


def test_a_process_is_ended_in_time_and_its_code_is_returned():
    wait = "import time; time.sleep(60)"
    deaf = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {wait}"
    assert runs.finish([sys.executable, "-S", "-c", wait], 0.2, 5.0) == -signal.SIGTERM
    assert runs.finish([sys.executable, "-S", "-c", deaf], 0.4, 0.1) in command.STOPPED
    assert runs.finish([sys.executable, "-S", "-c", "raise SystemExit(2)"], 60.0, 5.0) == 2


@pytest.fixture
def measured(tmp_path):
    """Rows as a GPU might give them."""
    fast = {"steps_per_dispatch": 64, **TIME, "images_per_s": 60_000.0, "share_of_peak": 0.2}
    torch = {"framework": "PyTorch", "version": "torch 1", "steps_per_dispatch": 1, "images_per_s": 30_000.0}
    one = STEP | {"batch": 128} | fast
    pd.DataFrame([one, one | torch]).to_csv(tmp_path / "steps.csv", index=False)
    search = {name: choices[0] for name, choices in pool.SEARCHES.items()}
    about = {name: one[name] for name in ("device", "version", "model", "dtype", "batch")}
    pd.DataFrame([about | search | {"images": 99} | TIME]).to_csv(tmp_path / "pool.csv", index=False)
    updates = {
        "plain_ms": 2.0,
        "at_change_ms": 4.0,
        "plain_update_ms": 0.1,
        "update_ms": 0.2,
        "update_at_change_ms": 2.2,
    }
    pd.DataFrame([about | {"method": "rigl"} | TIME | updates]).to_csv(tmp_path / "transforms.csv", index=False)
    return tmp_path


def test_tables_have_ratios_and_shares(measured):
    text = tables.describe(measured)
    assert "| lpjax | resnet18 | bfloat16 | 128 | 64 | 2.000 (0.100) | 60,000 | 20.0% | 2.00 |" in text
    assert f"| 99 | 2.000 (0.100) | {19 * 18 * 0.002 / (3296 * 0.75):.2%} |" in text
    assert "| rigl | 2.000 | 2.000 (0.100) | 4.000 | +5.10% | 2.00 |" in text  # 0.1 ms and 2 ms of 1000 steps


def test_what_is_kept_is_copied_and_described(measured, tmp_path):
    folder = tmp_path / "kept"
    folder.mkdir()
    (folder / "README.md").write_text("before\n<!-- measured -->\nnothing\n<!-- end of measured -->\nafter\n")
    command.keep(measured, "a table", folder)
    assert (folder / "pool.csv").read_text() == (measured / "pool.csv").read_text()
    assert (folder / "README.md").read_text().splitlines()[1:4] == [
        "<!-- measured -->",
        "a table",
        "<!-- end of measured -->",
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("one_device", "tiny_network")
def test_steps_and_searches_are_measured_at_the_smallest_size(tmp_path):
    size = SMALLEST._replace(models=("tiny",), model="tiny", dispatches=(1,), searches=2)
    steps.run(size, tmp_path, limit=600.0)
    pool.run(size, tmp_path, limit=600.0)
    step_rows = rows.read(tmp_path / "steps.csv")
    assert len(step_rows) == 1  # the search finds the step there
    assert np.allclose(step_rows["images_per_s"], 1000 * 16 / step_rows["median_ms"], rtol=1e-3)
    assert rows.read(tmp_path / "pool.csv")["images"].tolist() == [11 * (90 + 10), 11 * 10 + 90 + 10]


@pytest.mark.slow
@pytest.mark.usefixtures("tiny_network")
def test_a_method_is_measured_beside_the_plain_optimizer(tmp_path, monkeypatch):
    monkeypatch.setattr(sparse, "METHODS", ("rigl",))
    sparse.run(SMALLEST._replace(model="tiny"), tmp_path, limit=600.0)
    row = rows.read(tmp_path / "transforms.csv").iloc[0]
    assert row["method"] == "rigl"
    assert row[["median_ms", "plain_ms", "at_change_ms", "plain_update_ms", "update_ms"]].gt(0).all()


def test_networks_of_pytorch_have_the_parameters_of_ours():
    pytest.importorskip("torch")
    import jax

    from experiments.gpu import torch_steps
    from lpjax import models

    for name in ("resnet18", "vgg16", "wide_resnet28_10"):
        module = models.build(name, classes=10)
        ours = jax.eval_shape(lambda key, module=module: models.initialize(module, key, (32, 32, 3)), jax.random.key(0))
        theirs = sum(parameter.numel() for parameter in torch_steps.network(name).parameters())
        assert sum(leaf.size for leaf in jax.tree.leaves(ours.params)) == theirs
