"""A whole sparse run, small: two trainings per seed, and cheap tickets superposed."""

import json
import shutil
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace

import jax
import numpy as np
import optax
import pytest

from lpjax import pools, run, sparsity, store, transforms
from lpjax.errors import UserError
from lpjax.run.schedule import schedules
from lpjax.run.setup import prepare
from lpjax.run.sparse import optimizer_of, sparse_stage, training_cost
from lpjax.run.stage import run_stage
from lpjax.store import paths
from lpjax.train import Phases
from tests.run.stand_ins import SPARSE_TIMING

LEVELS = range(1, 4)


@pytest.fixture(scope="module")
def sparse_config(tiny_config):
    def make(**changes):
        return tiny_config(**SPARSE_TIMING | changes)

    return make


@pytest.fixture(scope="module")
def small_network_config(sparse_config):
    """The same for a network that compiles at once, where methods are compared."""
    return partial(sparse_config, model="tests.networks:one_convolution")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, sparse_config):
    """A finished sparse run; not to be changed."""
    workdir = tmp_path_factory.mktemp("sparse") / "rigl"
    run.run(sparse_config(), workdir)
    return workdir


def train_sparse(config, workdir):
    """Trains the cheap tickets of a config, and neither averages nor evaluates them."""
    setup = prepare(run.resolve(config))
    (cheap,) = schedules(setup.config, setup.steps)
    run_stage(setup, sparse_stage(setup.config, workdir, 0, cheap))


def ticket_of(directory):
    return store.restore_ticket(paths.ticket(directory))


def summary_of(directory):
    return store.read_json(paths.summary(directory))


def lines_of(workdir, level):
    return store.read_jsonl(paths.metrics(paths.level(workdir, 0, level)))


def touched(workdir):
    said = {paths.environment(workdir), paths.log(workdir, 0), paths.lock(workdir)}
    return {p: p.stat().st_mtime_ns for p in workdir.rglob("*") if p.is_file() and p not in said}


@pytest.mark.slow
def test_both_trainings_are_there_at_their_exact_density_and_zero_outside_their_masks(trained):
    for level in (0, *LEVELS):
        directory = paths.level(trained, 0, level)
        ticket, summary = ticket_of(directory), summary_of(directory)
        assert summary["kept"] == int(sparsity.kept(ticket.mask, sparsity.kernels)) == round(0.2 * summary["total"])
        outside = jax.tree.map(lambda m, p: np.where(m, 0, p), ticket.mask, ticket.params)
        assert not any(leaf.any() for leaf in jax.tree.leaves(outside))


@pytest.mark.slow
def test_kernels_are_sparse_the_classifiers_too_whatever_iterative_pruning_would_prune(trained):
    stored = store.restore_mask(paths.ticket(paths.level(trained, 0, 0)))
    assert summary_of(paths.level(trained, 0, 0))["total"] == sparsity.total(stored, sparsity.all_leaves)
    assert np.ndim(sparsity.named_leaves(stored)["fc/kernel"]) == 2


@pytest.mark.slow
def test_every_epoch_is_recorded_once_and_cycles_end_at_the_low_rate(trained):
    base = lines_of(trained, 0)
    assert [line["step"] for line in base] == [3, 6, 9, 12, 15, 18]
    np.testing.assert_allclose([line["learning_rate"] for line in base], [0.1] * 4 + [0.01] * 2, rtol=1e-5)
    first, second, third = (lines_of(trained, level) for level in LEVELS)
    assert [line["epoch"] for line in (*first, *second, *third)] == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose([line["learning_rate"] for line in first[:3]], [0.1, 0.1, 0.01], rtol=1e-5)
    np.testing.assert_allclose([lines[-1]["learning_rate"] for lines in (first, second, third)], 0.01, rtol=1e-5)


@pytest.mark.slow
def test_both_trainings_are_one_until_their_learning_rates_part(trained):
    base, cheap = lines_of(trained, 0), lines_of(trained, 1)
    for line, other in zip(base[:2], cheap[:2], strict=True):
        assert line == other
    assert base[2]["loss"] != cheap[2]["loss"]  # the milestone moved from epoch 4 to 2


@pytest.mark.slow
def test_masks_move_once_a_cycle_and_what_was_explored_only_grows(trained):
    masks = [ticket_of(paths.level(trained, 0, level)).mask for level in LEVELS]
    changed = [
        sum(np.sum(a != b) for a, b in zip(jax.tree.leaves(x), jax.tree.leaves(y), strict=True))
        for x, y in ((masks[0], masks[1]), (masks[1], masks[2]))
    ]
    assert all(changed)
    explored = [line["explored"] for level in LEVELS for line in lines_of(trained, level)]
    assert explored == sorted(explored)
    assert explored[-1] > 0.2


@pytest.mark.slow
def test_costs_are_shares_of_the_dense_networks(trained):
    for level in (0, *LEVELS):
        line, summary = lines_of(trained, level)[-1], summary_of(paths.level(trained, 0, level))
        assert line["flops"] == summary["inference_flops"]
        assert 0 < summary["inference_flops"] < 1
    spent = [summary_of(paths.level(trained, 0, level))["training_flops"] for level in LEVELS]
    assert spent == sorted(spent)
    assert summary_of(paths.level(trained, 0, 0))["inference_flops"] < spent[-1] < 1  # dense gradients cost too


@pytest.mark.slow
def test_a_superposition_is_the_average_of_the_tickets_so_far(trained):
    average = pools.superpose("cia")
    tickets = [ticket_of(paths.level(trained, 0, level)) for level in LEVELS]
    state = average.init(tickets[0])
    for level in LEVELS:
        state = average.step(state, tickets[level - 1]) if level > 1 else state
        found = ticket_of(paths.pool(trained, 0, "cia", level))
        jax.tree.map(np.testing.assert_array_equal, found, jax.device_get(average.ticket(state)))
        assert int(sparsity.kept(found.mask)) == summary_of(paths.level(trained, 0, 1))["kept"]


@pytest.mark.slow
def test_results_hold_the_base_network_every_ticket_and_every_superposition(trained):
    rows = store.read_results(paths.results(trained))
    assert {(r.method, r.level) for r in rows} == {("ticket", 0)} | {(m, k) for m in ("ticket", "cia") for k in LEVELS}
    assert len(rows) == 7 * (2 * 3 + 6)


@pytest.mark.slow
def test_the_same_command_again_changes_nothing(trained, sparse_config):
    before = touched(trained)
    results = paths.results(trained).read_bytes()
    run.run(sparse_config(), trained)
    assert {p for p, t in before.items() if p.stat().st_mtime_ns != t} <= {paths.results(trained)}
    assert paths.results(trained).read_bytes() == results


@pytest.mark.slow
def test_more_averages_and_the_ensemble_join_without_training(trained, tmp_path, sparse_config):
    grown = tmp_path / "grown"
    shutil.copytree(trained, grown)
    before = touched(grown)
    run.run(sparse_config(superpose__averages=("caa", "cima"), superpose__ensemble=True), grown)
    assert {p for p, t in before.items() if p.stat().st_mtime_ns != t} == {paths.results(grown), paths.config(grown)}
    rows = store.read_results(paths.results(grown))
    assert {r.method for r in rows} == {"ticket", "cia", "caa", "cima", "ensemble"}
    assert set(store.read_results(paths.results(trained))) <= set(rows)
    assert json.loads(paths.config(grown).read_text())["superpose"]["averages"] == ["cia", "caa", "cima"]
    ensemble = summary_of(paths.pool(grown, 0, "ensemble", 2))
    assert ensemble["members"] == [1, 2]
    np.testing.assert_allclose(
        ensemble["inference_flops"],
        sum(summary_of(paths.level(grown, 0, level))["inference_flops"] for level in (1, 2)),
    )


@pytest.mark.slow
def test_what_is_deleted_is_made_again_the_same_and_nothing_else_is_touched(trained, tmp_path, sparse_config):
    mended = tmp_path / "mended"
    shutil.copytree(trained, mended)
    lost = (paths.level(mended, 0, 0), paths.level(mended, 0, 2), paths.pool(mended, 0, "cia", 2))
    for directory in lost:
        shutil.rmtree(directory)
    before = touched(mended)
    run.run(sparse_config(), mended)
    assert {p for p, t in before.items() if p.stat().st_mtime_ns != t} <= {paths.results(mended)}
    assert paths.results(mended).read_bytes() == paths.results(trained).read_bytes()
    for directory in lost:
        jax.tree.map(
            np.testing.assert_array_equal, ticket_of(directory), ticket_of(trained / directory.relative_to(mended))
        )


@pytest.mark.slow
def test_the_network_before_the_cycles_can_be_averaged_too_and_statistics_measured_anew(
    trained, tmp_path, sparse_config
):
    workdir = tmp_path / "phase"
    config = sparse_config(superpose__first="phase", superpose__stats="recalibrate", superpose__base=False)
    run.run(config, workdir)
    start = store.restore_ticket(paths.start(paths.level(workdir, 0, 1)))
    first, average = ticket_of(paths.level(workdir, 0, 1)), pools.superpose("cia")
    jax.tree.map(np.testing.assert_array_equal, first, ticket_of(paths.level(trained, 0, 1)))
    expected = jax.device_get(average.ticket(average.step(average.init(start), first)))
    found = ticket_of(paths.pool(workdir, 0, "cia", 1))
    jax.tree.map(np.testing.assert_array_equal, found.params.params, expected.params.params)
    with pytest.raises(AssertionError):
        jax.tree.map(np.testing.assert_allclose, found.params.stats, expected.params.stats)
    assert not paths.level(workdir, 0, 0).exists()
    shutil.rmtree(paths.start(paths.level(workdir, 0, 1)))
    run.run(config, workdir)
    jax.tree.map(np.testing.assert_array_equal, start, store.restore_ticket(paths.start(paths.level(workdir, 0, 1))))


@pytest.mark.slow
@pytest.mark.parametrize("method", ["erk", "snip", "set", "granet", "gmp", "2:4"])
def test_every_method_ends_at_its_density(method, tmp_path, small_network_config):
    density = 0.5 if method == "2:4" else 0.2
    config = small_network_config(sparse__method=method, sparse__density=density, superpose__base=False)
    named = pytest.warns(UserWarning, match="conv1/kernel .* stay dense") if method == "2:4" else nullcontext()
    with named as warned:
        train_sparse(config, tmp_path)
    assert len(warned or []) == (method == "2:4")
    kept = {summary_of(paths.level(tmp_path, 0, level))["kept"] for level in LEVELS}
    dense_leaves = 72 if method == "2:4" else 0  # the first convolution has one input channel, which four do not divide
    total = summary_of(paths.level(tmp_path, 0, 1))["total"]
    assert kept == {round(density * (total - dense_leaves)) + dense_leaves}


@pytest.mark.slow
def test_masks_that_stay_explore_only_when_asked(tmp_path, small_network_config):
    masks = {}
    for explore in ("method", "gradient"):
        workdir = tmp_path / explore
        config = small_network_config(sparse__method="snip", superpose__explore=explore, superpose__base=False)
        train_sparse(config, workdir)
        masks[explore] = [jax.tree.leaves(ticket_of(paths.level(workdir, 0, level)).mask) for level in (1, 2)]
    assert all(np.array_equal(a, b) for a, b in zip(*masks["method"], strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(*masks["gradient"], strict=True))


@pytest.mark.slow
def test_a_dense_network_has_a_full_mask_and_may_do_without_cycles(tmp_path, sparse_config):
    config = sparse_config(sparse__method="dense", sparse__density=1.0, superpose__share=0.0)
    run.run(config, tmp_path / "dense")
    summary = summary_of(paths.level(tmp_path / "dense", 0, 0))
    assert (summary["kept"], summary["density"]) == (summary["total"], 1)
    assert (summary["explored"], summary["training_flops"]) == (1, pytest.approx(1))
    assert {r.method for r in store.read_results(paths.results(tmp_path / "dense"))} == {"ticket"}


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_the_run_and_says_where(tmp_path, sparse_config):
    with pytest.raises(UserError, match=r"step \d of the base network.*train\.learning_rate"):
        run.run(sparse_config(train__learning_rate=1e30), tmp_path / "diverging")


# What sparse training costs


def cost(method, steps, old, new, **changes):
    """Sums what steps of a training cost whose masks are updated at some of them, every 10 steps as a rule."""
    config = run.default_config()
    config.sparse.method, config.sparse.every = method, "10it"
    config.superpose.explore = changes.pop("explore", "none")
    setup = SimpleNamespace(config=config, steps=lambda duration: int(duration.removesuffix("it")))
    schedule = SimpleNamespace(**{"phases": Phases(100, 20, 2), "until": 100, "updates": []} | changes)
    return training_cost(setup, schedule, steps, old, new)


@pytest.mark.parametrize(
    ("updates", "expected"),
    [
        ([], 12 * 0.5),
        ([10], 10 * 0.5 + 2 * 0.1),
        ([12], 12 * 0.5),
        ([4, 10], 4 * 0.5 + 6 * 0.3 + 2 * 0.1),
        ([13, 100], 12 * 0.5),
    ],
)
def test_a_step_costs_what_the_mask_costs_that_it_was_taken_with(updates, expected):
    new = 0.1 if [step for step in updates if step < 12] else 0.5
    assert cost("set", range(12), 0.5, new, updates=updates) == pytest.approx(expected)


def test_the_batch_that_chooses_the_mask_is_free():
    assert cost("snip", range(12), 1.0, 0.1) == pytest.approx(1.2)


def test_a_dense_gradient_costs_something_only_while_masks_are_updated():
    during, after = (cost("rigl", steps, 0.1, 0.1, until=50) for steps in (range(40, 50), range(50, 60)))
    assert after == pytest.approx(1.0)
    assert during == pytest.approx(10 * (3 * 0.1 + 0.9 / 11) / 3)


def test_exploring_by_gradient_costs_a_dense_gradient_per_cycle():
    assert cost("erk", range(100, 120), 0.1, 0.1, explore="gradient") == pytest.approx(20 * (0.3 + 0.9 / 21) / 3)


# The table of methods


@pytest.mark.parametrize("explore", ["method", "gradient"])
def test_a_copy_of_a_row_of_the_table_runs_as_the_row_does(explore, sparse_config, monkeypatch):
    """Nothing looks at a method's name: what `snip` needs stands in its row."""
    monkeypatch.setitem(transforms.METHODS, "connection_sensitivity", transforms.METHODS["snip"])
    found = {}
    for name in ("snip", "connection_sensitivity"):
        config = sparse_config(sparse__method=name, superpose__explore=explore)
        run.check(config)
        setup = prepare(run.resolve(config))
        trainings = schedules(setup.config, setup.steps)
        optimizer = optimizer_of(setup, trainings[-1])(jax.random.key(0))
        state = jax.eval_shape(optimizer.init, setup.network.like.params)
        cost = training_cost(setup, trainings[-1], range(20), 1.0, 0.2)
        found[name] = trainings, jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state), cost
    assert found["snip"] == found["connection_sensitivity"]
    assert isinstance(found["snip"][0][0].phases, Phases)


def test_the_learning_rate_of_a_method_whose_first_step_selects_waits_for_it(sparse_config, monkeypatch):
    """The inner optimizer of `snip` has taken one step less, and must follow the same schedule."""
    rates = {}

    def build(inner, density, **choices):
        params = {"w": np.float32(0)}
        updates, _ = inner.update({"w": np.float32(1)}, inner.init(params), params)
        rates[method] = float(updates["w"])
        return optax.identity()

    for method, row in (("snip", transforms.METHODS["snip"]), ("erk", transforms.METHODS["erk"])):
        monkeypatch.setitem(transforms.METHODS, method, row._replace(build=build))
        setup = prepare(run.resolve(sparse_config(sparse__method=method, train__warmup="4it")))
        optimizer_of(setup, schedules(setup.config, setup.steps)[0])(jax.random.key(0))
    assert rates["erk"] == 0
    assert rates["snip"] == pytest.approx(-0.1 / 4)
