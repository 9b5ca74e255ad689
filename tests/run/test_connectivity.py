"""What lies between the tickets of a run."""

import shutil

import jax
import numpy as np
import pytest

from lpjax import run, store
from lpjax.run import connectivity
from lpjax.run.connectivity import averaged_pairs_stage, ensembles_stage, linear_paths_stage, nearest_members
from lpjax.run.evaluate import gather, load_right, predict
from lpjax.run.saved import load_ticket
from lpjax.run.setup import SeedKeys
from lpjax.store import paths
from lpjax.types import Variables

pytestmark = pytest.mark.slow  # each needs a run of its own


@pytest.fixture(scope="module")
def workdir(finished, tmp_path_factory):
    """A copy of the finished run, to be measured."""
    return shutil.copytree(finished, tmp_path_factory.mktemp("analyzed") / "tiny")


@pytest.fixture(scope="module")
def setup(workdir, tiny_config):
    return run.run(tiny_config(), workdir)


def analyzed(setup, workdir, name):
    """Measures something between the tickets of a run, and returns its record."""
    plan = {"averaged_pairs": averaged_pairs_stage, "linear_paths": linear_paths_stage}[name]
    run.run_stages(setup, workdir, [plan(workdir, 0, 3)])
    return store.read_json(paths.analysis(workdir, 0, name))


def evaluate_ensembles(setup, workdir, methods, count):
    run.run_stages(setup, workdir, [ensembles_stage(workdir, 0, methods, nearest_members(range(3), count))])


@pytest.fixture(scope="module")
def tickets(setup, workdir):
    return [load_ticket(setup, paths.level(workdir, 0, level)) for level in range(3)]


@pytest.fixture(scope="module")
def on_test(workdir):
    rows = [r for r in store.read_results(paths.results(workdir)) if r.method == "ticket" and r.split == "test"]
    return {(r.level, r.metric): r.value for r in rows}


def recalibrated(setup, variables, key):
    return jax.jit(lambda recalibrate, *given: recalibrate(*given))(setup.measures.recalibrate, variables, key)


def mixed(first, second, coefficient):
    return jax.tree.map(lambda a, b: np.float32(1 - coefficient) * a + np.float32(coefficient) * b, first, second)


def pruned(params, like):
    """Keeps as many of the weights that may be pruned as a mask does, the largest, ties by index."""
    leaves, structure = jax.tree.flatten(params)
    prunable = [np.ndim(leaf) == 4 for leaf in jax.tree.leaves(like)]
    sizes = np.concatenate([np.abs(leaf).ravel() for leaf, may in zip(leaves, prunable, strict=True) if may])
    living = np.zeros(sizes.size, bool)
    kept = sum(int(leaf.sum()) for leaf in jax.tree.leaves(like) if np.ndim(leaf) == 4)
    living[np.argsort(-sizes, kind="stable")[:kept]] = True
    parts = iter(np.split(living, np.cumsum([leaf.size for leaf, may in zip(leaves, prunable, strict=True) if may])))
    masked = [
        leaf * next(parts).reshape(leaf.shape) if may else leaf for leaf, may in zip(leaves, prunable, strict=True)
    ]
    return jax.tree.unflatten(structure, masked)


def loss_and_error(logits, labels):
    logits = np.asarray(logits, np.float64)
    scores = logits - logits.max(-1, keepdims=True)
    said = scores - np.log(np.exp(scores).sum(-1, keepdims=True))
    labels = np.asarray(labels)
    return -said[np.arange(len(labels)), labels].mean(), (logits.argmax(-1) != labels).mean()


def test_a_ticket_paired_with_itself_is_the_ticket_and_pairs_have_the_sparser_ones_density(setup, workdir, on_test):
    rows = analyzed(setup, workdir, "averaged_pairs")
    assert [(r["first"], r["second"]) for r in rows] == [(0, 0), (0, 1), (1, 1), (0, 2), (1, 2), (2, 2)]
    for row in rows:
        summary = store.read_json(paths.summary(paths.level(workdir, 0, row["second"])))
        assert row["density"] == summary["density"]
        assert 0 <= row["accuracy"] <= 1
        if row["first"] == row["second"]:
            assert row["accuracy"] == pytest.approx(on_test[row["first"], "accuracy"], abs=1e-6)


def test_an_averaged_pair_is_halved_pruned_to_the_sparser_one_s_count_and_recalibrated(setup, workdir, tickets):
    rows = {(r["first"], r["second"]): r for r in analyzed(setup, workdir, "averaged_pairs")}
    for first, second in ((0, 1), (0, 2), (1, 2)):
        mix = mixed(tickets[second].params, tickets[first].params, 0.5)
        variables = Variables(pruned(mix.params, tickets[second].mask.params), mix.stats)
        variables = recalibrated(setup, variables, jax.random.fold_in(SeedKeys.of(0).pool, second))
        _, error = loss_and_error(predict(setup, variables, setup.data.test), setup.data.test.labels)
        assert rows[first, second]["accuracy"] == pytest.approx(1 - error, abs=1e-6)


def test_paths_start_and_end_at_the_tickets_unless_they_are_recalibrated(setup, workdir, on_test):
    rows = analyzed(setup, workdir, "linear_paths")
    assert len(rows) == 2 * 2 * 11
    ends = [r for r in rows if r["coefficient"] in (0, 1) and not r["recalibrated"]]
    for row in ends:
        level = row["pair"] + int(row["coefficient"])
        assert row["loss"] == pytest.approx(on_test[level, "nll"], rel=1e-5)
        assert row["error"] == pytest.approx(1 - on_test[level, "accuracy"], abs=1e-6)


@pytest.mark.parametrize(("pair", "coefficient"), [(0, 0.3), (1, 0.7), (1, 0.0), (1, 1.0)])
def test_points_of_a_path_are_mixed_and_recalibrated_on_the_same_images(setup, workdir, tickets, pair, coefficient):
    (row,) = (
        r
        for r in analyzed(setup, workdir, "linear_paths")
        if (r["pair"], r["coefficient"], r["recalibrated"]) == (pair, coefficient, True)
    )
    mix = mixed(tickets[pair].params, tickets[pair + 1].params, coefficient)
    variables = recalibrated(setup, mix, SeedKeys.of(0).pool)
    loss, error = loss_and_error(predict(setup, variables, setup.data.test), setup.data.test.labels)
    assert row["loss"] == pytest.approx(loss, rel=1e-4)
    assert row["error"] == pytest.approx(error, abs=1e-6)


def test_what_was_measured_is_read_back(setup, workdir, monkeypatch):
    rows = analyzed(setup, workdir, "linear_paths")
    monkeypatch.setattr(connectivity, "load_ticket", lambda *_: pytest.fail("measured again"))
    assert analyzed(setup, workdir, "linear_paths") == rows


def test_an_ensemble_of_one_is_its_ticket_and_ensembles_are_gathered_like_pools(setup, workdir, on_test):
    alone = {"alone_logits": "logits", "alone_probabilities": "probabilities"}
    evaluate_ensembles(setup, workdir, alone, 1)
    for row in gather(workdir, [0], range(3), tuple(alone)):
        if row.split == "test" and row.method in alone:
            assert row.value == pytest.approx(on_test[row.level, row.metric], abs=1e-5)
    evaluate_ensembles(setup, workdir, {"three": "logits"}, 3)
    summary = store.read_json(paths.summary(paths.pool(workdir, 0, "three", 1)))
    assert summary["members"] == [1, 0, 2]


@pytest.mark.parametrize("votes", ["logits", "probabilities"])
@pytest.mark.parametrize("members", [2, 3])
def test_an_ensemble_is_the_mean_of_what_its_members_say(setup, workdir, tickets, votes, members):
    name = f"{members}_{votes}"
    evaluate_ensembles(setup, workdir, {name: votes}, members)
    for anchor, chosen in enumerate(([0, 1, 2], [1, 0, 2], [2, 1, 0])):
        evaluation = store.read_json(paths.evaluation(paths.pool(workdir, 0, name, anchor)))
        for split, batch in (("validation", setup.data.validation), ("test", setup.data.test)):
            logits = [np.asarray(predict(setup, tickets[m].params, batch), np.float64) for m in chosen[:members]]
            if votes == "probabilities":
                raised = [np.exp(each - each.max(-1, keepdims=True)) for each in logits]
                mean = np.log(np.mean([each / each.sum(-1, keepdims=True) for each in raised], axis=0))
            else:
                mean = np.mean(logits, axis=0)
            loss, error = loss_and_error(mean, batch.labels)
            assert evaluation[split]["nll"] == pytest.approx(loss, rel=1e-5)
            assert evaluation[split]["accuracy"] == pytest.approx(1 - error, abs=1e-6)


def test_which_images_are_right_agrees_with_accuracy(setup, workdir, on_test):
    images = len(setup.data.test.labels)
    for level in range(3):
        right = load_right(paths.level(workdir, 0, level), images)
        assert right.shape == (images,)
        assert right.mean() == pytest.approx(on_test[level, "accuracy"], abs=1e-6)
