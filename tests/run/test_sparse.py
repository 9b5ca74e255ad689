"""A whole sparse run, small: two arms a seed, cheap tickets superposed, and what is refused."""

import json
import shutil
from contextlib import nullcontext

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from lpjax import pools, run, sparsity, store
from lpjax.run.arms import arms
from lpjax.run.config import resolve
from lpjax.run.job import prepare
from lpjax.run.recipes import suptickets
from lpjax.store import paths

LEVELS = range(1, 4)


@pytest.fixture(scope="module")
def sparse_config(tiny_config):
    """Six epochs of three steps each: three before, then three cycles of one."""

    def make(**changes):
        config = tiny_config()
        config.train.duration = "6ep"
        config.train.milestones = ("4ep",)
        config.sparse.method = "rigl"
        config.sparse.density = 0.2
        config.sparse.every = "2it"
        config.sparse.prune_until = "2ep"
        config.superpose.share = 0.5
        config.superpose.cycle = "1ep"
        config.superpose.low, config.superpose.high = 0.01, 0.05
        config.update_from_flattened_dict({name.replace("__", "."): value for name, value in changes.items()})
        return config

    return make


@pytest.fixture(scope="module")
def trained(tmp_path_factory, sparse_config):
    """A finished sparse run; not to be changed."""
    workdir = tmp_path_factory.mktemp("sparse") / "rigl"
    run.run(sparse_config(), workdir)
    return workdir


def ticket_of(directory):
    return store.restore_ticket(paths.ticket(directory))


def summary_of(directory):
    return store.read_json(paths.summary(directory))


def lines_of(workdir, level):
    return store.read_jsonl(paths.metrics(paths.level(workdir, 0, level)))


def arms_of(config):
    return arms(prepare(ConfigDict(resolve(config))))


def touched(workdir):
    said = {paths.environment(workdir), paths.status(workdir, 0), paths.lock(workdir)}
    return {p: p.stat().st_mtime_ns for p in workdir.rglob("*") if p.is_file() and p not in said}


@pytest.mark.slow
def test_both_arms_are_there_at_their_exact_density_and_zero_outside_their_masks(trained):
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
def test_the_arms_are_one_until_their_learning_rates_part(trained):
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
        assert 0.2 < summary["inference_flops"] < 1
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
    assert len(rows) == 7 * 2 * 3


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
def test_every_method_ends_at_its_density(method, tmp_path, sparse_config):
    density = 0.5 if method == "2:4" else 0.2
    config = sparse_config(sparse__method=method, sparse__density=density, superpose__base=False)
    named = pytest.warns(UserWarning, match="conv1/kernel .* stay dense") if method == "2:4" else nullcontext()
    with named as warned:
        run.run(config, tmp_path / "run")
    assert len(warned or []) == (method == "2:4")
    kept = {summary_of(paths.level(tmp_path / "run", 0, level))["kept"] for level in LEVELS}
    dense_leaves = 36 if method == "2:4" else 0  # the first convolution has one input channel, which four do not divide
    total = summary_of(paths.level(tmp_path / "run", 0, 1))["total"]
    assert kept == {round(density * (total - dense_leaves)) + dense_leaves}


@pytest.mark.slow
def test_masks_that_stay_explore_only_when_asked(tmp_path, sparse_config):
    masks = {}
    for explore in ("method", "gradient"):
        workdir = tmp_path / explore
        run.run(sparse_config(sparse__method="snip", superpose__explore=explore, superpose__base=False), workdir)
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
    with pytest.raises(ValueError, match=r"loss is \S+ at step \d of the base network; lower train\.learning_rate"):
        run.run(sparse_config(train__learning_rate=1e30), tmp_path / "diverging")


def test_fge_collects_in_the_middle_of_its_cycles(sparse_config):
    config = sparse_config(superpose__shape="fge", superpose__cycle="6it", superpose__share=0.7)
    _, cheap = arms_of(config)
    assert cheap.phases == (6, 6, 2)
    assert cheap.ends == {1: 9, 2: 15}
    assert float(cheap.learning_rate(8)) == float(cheap.learning_rate(14)) == np.float32(0.01)


def test_milestones_keep_their_share_of_ordinary_training_as_on_cifar(sparse_config):
    config = sparse_config(train__duration="250ep", train__milestones=("125ep", "187ep"), sparse__every="100it")
    config.superpose.share, config.superpose.cycle = 0.1, "8ep"
    base, cheap = arms_of(config)
    assert cheap.phases == (226 * 3, 24, 3)
    for arm, first, second in ((base, 125, 187), (cheap, 113, 169)):
        rates = [float(arm.learning_rate(3 * epoch + offset)) for epoch in (first, second) for offset in (-1, 0)]
        np.testing.assert_allclose(rates, [0.1, 0.01, 0.01, 0.001], rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"superpose__share": 0.1}, r"'1ep'.*share"),
        (
            {"sparse__every": "1000it"},
            r"sparse\.every .*'1000it'.*step 0",
        ),
        (
            {"sparse__method": "granet", "sparse__prune_until": "4ep"},
            r"sparse\.prune_until .*'4ep'.* step 9",
        ),
        ({"sparse__method": "granet", "sparse__prune_until": "0ep"}, r"sparse\.prune_until .*'0ep'.* step 2"),
    ],
)
def test_times_that_do_not_fit_are_refused_before_training(changes, message, tmp_path, sparse_config):
    with pytest.raises(ValueError, match=message) as refusal:
        run.run(sparse_config(**changes), tmp_path / "run")
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sparse__method": "rigel"}, r"sparse\.method 'rigel'.*'rigl'"),
        ({"sparse__density": 0.0}, r"sparse\.density .*0\.0"),
        ({"sparse__initial_density": 1.5}, r"sparse\.initial_density .*1\.5"),
        ({"sparse__drop_fraction": 1.0}, r"sparse\.drop_fraction .*1\.0"),
        ({"superpose__drop_fraction": -0.1}, r"superpose\.drop_fraction .*-0\.1"),
        ({"sparse__drop_schedule": "linear"}, r"sparse\.drop_schedule 'linear'"),
        ({"sparse__allocate": "er"}, r"sparse\.allocate 'er'.*'erk'"),
        ({"sparse__every": "0it"}, r"sparse\.every .*'0it'"),
        ({"sparse__every": "100"}, r"duration.*'100'"),
        ({"sparse__prune_until": "late"}, r"duration.*'late'"),
        ({"sparse__until": 1.5}, r"sparse\.until .*1\.5"),
        ({"sparse__prunable": "dense"}, r"sparse\.prunable .*'dense'"),
        ({"sparse__method": "dense"}, r"sparse\.density .*0\.2.*1\.0"),
        ({"sparse__method": "2:4"}, r"sparse\.density .*0\.2.*0\.5"),
        ({"superpose__averages": ("cai",)}, r"superpose\.averages 'cai'.*'cia'"),
        ({"superpose__averages": ("cia", "cia")}, "superpose.averages"),
        ({"superpose__share": 1.0}, r"superpose\.share .*1\.0"),
        ({"superpose__cycle": "0ep"}, r"superpose\.cycle .*'0ep'"),
        ({"superpose__low": 0.1}, r"superpose\.low .*0\.1 .*0\.05"),
        ({"superpose__shape": "saw"}, r"superpose\.shape 'saw'"),
        ({"superpose__explore": "random"}, r"superpose\.explore 'random'"),
        ({"superpose__explore": "gradient"}, r"superpose\.explore .*'gradient'.*'rigl'"),
        ({"superpose__decay": 1.5}, r"decay.* 1\.5"),
        ({"superpose__prune": "during"}, "prune 'during'"),
        ({"superpose__scope": "local"}, "scope 'local'"),
        ({"superpose__stats": "none"}, r"superpose\.stats 'none'"),
        ({"superpose__first": "last"}, r"superpose\.first 'last'"),
        ({"superpose__base": False, "superpose__share": 0.0}, "nothing is left to train"),
        ({"imp__tickets_from": "somewhere"}, r"imp\.tickets_from"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_in_one_line(changes, message, sparse_config):
    with pytest.raises(ValueError, match=message) as refusal:
        run.check(sparse_config(**changes))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("rigel,0.9", r"method 'rigel'.*'rigl'"),
        ("rigl", r"sparsity ''.*'rigl'"),
        ("rigl,95", r"sparsity '95'.*'rigl,95'"),
        ("rigl,0.9,0.8", r"sparsity '0\.9,0\.8'"),
        ("dense,0.9", r"dense.*sparsity.*0\.9"),
    ],
)
def test_an_argument_of_another_form_is_refused_in_one_line(argument, message):
    with pytest.raises(ValueError, match=message) as refusal:
        suptickets(argument, dataset="cifar10", model="suptickets_vgg16")
    assert "\n" not in str(refusal.value)


def test_the_recipe_is_the_papers_setting_on_cifar():
    config = suptickets("granet,0.95", dataset="cifar10", model="suptickets_vgg16")
    assert (config.train.duration, config.train.milestones) == ("250ep", ("125ep", "187ep"))
    assert (config.train.weight_decay, config.train.momentum, config.train.batch_size) == (5e-4, 0.9, 128)
    assert (config.sparse.density, config.sparse.every, config.sparse.prune_until) == (0.05, "1000it", "110ep")
    assert (config.superpose.share, config.superpose.cycle, config.superpose.shape) == (0.1, "8ep", "triangle")
    assert (config.superpose.low, config.superpose.high) == (0.001, 0.005)
    pads = {name: suptickets(dataset=name, model="vgg16").augment.pad for name in ("cifar10", "cifar100")}
    assert pads == {"cifar10": "reflect", "cifar100": "zero"}
