"""Accuracy on corrupted images: what is measured, what is left alone, and how it is averaged."""

import shutil

import jax
import numpy as np
import pytest

from lpjax import data, run, store
from lpjax.errors import UserError
from lpjax.run import corruptions as robustness
from lpjax.run import settings
from lpjax.run.setup import prepare
from lpjax.store import paths

pytestmark = pytest.mark.slow  # a run of its own

METHODS = ("interpolation",)
NETWORKS = 3 * 2
LABEL = "digits-C-like (made here)"
CELLS = ("gaussian_noise", "contrast")


@pytest.fixture(scope="module")
def setup(tiny_config):
    return prepare(run.resolve(tiny_config(corruptions__measure="all", corruptions__images=100)))


def evaluate_corruptions(setup, workdir, seeds=(0,), methods=METHODS):
    stage = robustness.corruptions_stage(setup.config, workdir, seeds, range(3), methods)
    run.run_stages(setup, workdir, [stage])


@pytest.fixture
def workdir(finished, tmp_path, monkeypatch):
    """A copy of the finished run, where two corruptions are all that is measured."""
    monkeypatch.setitem(settings.CORRUPTIONS, "all", (*CELLS, "frost"))
    return shutil.copytree(finished, tmp_path / "copy")


def measured(workdir):
    return {path: store.read_jsonl(path) for path in sorted(workdir.rglob("corruptions.jsonl"))}


def test_every_network_is_measured_on_every_cell_and_gathered(setup, workdir):
    evaluate_corruptions(setup, workdir)
    lines = measured(workdir)
    assert len(lines) == NETWORKS
    for cells in lines.values():
        assert [(c["name"], c["severity"]) for c in cells] == [(n, s) for n in CELLS for s in data.SEVERITIES]
        assert {c["label"] for c in cells} == {"digits-C-like (made here)"}
        assert all(0 <= c["accuracy"] <= 1 for c in cells)
    results = robustness.gather_corruptions(workdir, [0], range(3), METHODS)
    assert sorted(results) == store.read_results(paths.corrupted_results(workdir))
    assert len(results) == NETWORKS * 10
    assert {r.split for r in results} == {
        f"{LABEL}/{name}-{severity}" for name in CELLS for severity in data.SEVERITIES
    }
    by_network = robustness.mean_over(results, data.BENCHMARK)
    assert [(r.corruptions, r.cells) for r in by_network] == [(2, 10)] * NETWORKS
    first = next(iter(lines.values()))
    assert by_network[0].accuracy == pytest.approx(np.mean([c["accuracy"] for c in first]))


def test_accuracy_is_that_of_the_network_on_the_corrupted_images(setup, workdir, monkeypatch):
    clean_images = jax.tree.map(np.asarray, setup.data.test)
    clean = data.Corruptions("clean", CELLS, lambda *_: clean_images)
    monkeypatch.setattr(robustness.data, "corruptions", lambda *_, **__: clean)
    evaluate_corruptions(setup, workdir)
    for path, cells in measured(workdir).items():
        wanted = store.read_json(path.with_name("evaluation.json"))["test"]["accuracy"]
        assert [cell["accuracy"] for cell in cells] == [pytest.approx(wanted, abs=1e-6)] * 10


def test_the_same_command_resumes_and_gives_the_same_lines(setup, workdir, monkeypatch):
    evaluate_corruptions(setup, workdir)
    whole = measured(workdir)
    for number, path in enumerate(whole):
        lines = path.read_bytes().splitlines(keepends=True)
        path.write_bytes(b"".join(lines[: 3 * number]) + lines[-1][:7])  # cut off while it was written
    monkeypatch.setattr(robustness, "_TOGETHER", 2)
    evaluate_corruptions(setup, workdir)
    assert measured(workdir) == whole
    monkeypatch.setattr(robustness, "predict", lambda *_: pytest.fail("measured again"))
    evaluate_corruptions(setup, workdir)


def test_what_is_not_finished_is_left_out_and_nothing_is_measured_unless_asked(setup, workdir, tiny_config):
    shutil.rmtree(paths.pool(workdir, 0, "interpolation", 2))
    evaluate_corruptions(setup, workdir, (0, 1), (*METHODS, "average"))
    assert len(measured(workdir)) == NETWORKS - 1
    quiet = setup._replace(config=run.resolve(tiny_config()))
    for path in (*measured(workdir), paths.corrupted_results(workdir)):
        path.unlink()
    evaluate_corruptions(quiet, workdir)
    assert robustness.gather_corruptions(workdir, [0], range(3), METHODS) == []
    assert not paths.corrupted_results(workdir).exists()


def test_measurements_on_other_images_are_not_mixed(setup, workdir):
    path = paths.corruptions(paths.level(workdir, 0, 1))
    store.append_jsonl(path, {"name": "fog", "severity": 1, "accuracy": 0.5, "label": "cifar10-c (published)"})
    with pytest.raises(UserError, match=r"cifar10-c \(published\).* digits-C-like"):
        evaluate_corruptions(setup, workdir)
    assert len(measured(workdir)) == 1


def test_the_mean_of_the_fifteen_and_of_all_are_kept_apart():
    def result(name, severity, value, method="ticket"):
        return store.Result(0, 1, 80, 100, 0.8, method, f"{name}-{severity}", "accuracy", value)

    everything = (*data.BENCHMARK, *data.EXTRA)
    rows = [
        result(name, severity, 0.2 if name in data.BENCHMARK else 0.7, method)
        for method in ("ticket", "average")
        for name in everything
        for severity in data.SEVERITIES
        if name != "frost"
    ]
    other = [result("fog", 1, 0.1)._replace(metric="nll"), result("fog", 1, 0.1)._replace(split="test")]
    fifteen, _ = robustness.mean_over([*rows, *other], data.BENCHMARK)
    assert (fifteen.corruptions, fifteen.cells, fifteen.accuracy) == (14, 70, pytest.approx(0.2))
    both = robustness.mean_over(rows, everything)
    assert [(r.method, r.corruptions, r.cells) for r in both] == [("ticket", 18, 90), ("average", 18, 90)]
    assert both[0].accuracy == pytest.approx((14 * 0.2 + 4 * 0.7) / 18)
    assert robustness.mean_over(rows, ("frost",)) == []
