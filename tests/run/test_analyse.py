"""What lies between the tickets of a run."""

import pytest

from lpjax import run, store
from lpjax.run import analyse
from lpjax.run.evaluate import gather, load_right
from lpjax.store import paths


@pytest.fixture(scope="module")
def job(finished, tiny_config):
    return run.run(tiny_config(), finished)


@pytest.fixture(scope="module")
def on_test(finished):
    rows = [r for r in store.read_results(paths.results(finished)) if r.method == "ticket" and r.split == "test"]
    return {(r.level, r.metric): r.value for r in rows}


def test_a_ticket_paired_with_itself_is_the_ticket_and_pairs_have_the_sparser_ones_density(job, finished, on_test):
    rows = analyse.averaged_pairs(job, finished, 0)
    assert [(r["first"], r["second"]) for r in rows] == [(0, 0), (0, 1), (1, 1), (0, 2), (1, 2), (2, 2)]
    for row in rows:
        summary = store.read_json(paths.summary(paths.level(finished, 0, row["second"])))
        assert row["density"] == summary["density"]
        assert 0 <= row["accuracy"] <= 1
        if row["first"] == row["second"]:
            assert row["accuracy"] == pytest.approx(on_test[row["first"], "accuracy"], abs=1e-6)


def test_paths_start_and_end_at_the_tickets_unless_they_are_recalibrated(job, finished, on_test):
    rows = analyse.linear_paths(job, finished, 0)
    assert len(rows) == 2 * 2 * 11
    ends = [r for r in rows if r["coefficient"] in (0, 1) and not r["recalibrated"]]
    for row in ends:
        level = row["pair"] + int(row["coefficient"])
        assert row["loss"] == pytest.approx(on_test[level, "nll"], rel=1e-5)
        assert row["error"] == pytest.approx(1 - on_test[level, "accuracy"], abs=1e-6)
    fresh = {(r["pair"], r["coefficient"]): r["loss"] for r in rows if r["recalibrated"]}
    assert any(fresh[r["pair"], r["coefficient"]] != pytest.approx(r["loss"], rel=1e-4) for r in ends)


def test_what_was_measured_is_read_back(job, finished, monkeypatch):
    rows = analyse.linear_paths(job, finished, 0)
    monkeypatch.setattr(analyse, "load_ticket", lambda *_: pytest.fail("measured again"))
    assert analyse.linear_paths(job, finished, 0) == rows


def test_an_ensemble_of_one_is_its_ticket_and_ensembles_are_gathered_like_pools(job, finished, on_test):
    alone = {"alone_logits": "logits", "alone_probabilities": "probabilities"}
    analyse.evaluate_ensembles(job, finished, 0, alone, members=1)
    for row in gather(finished, [0], 3, tuple(alone)):
        if row.split == "test" and row.method in alone:
            assert row.value == pytest.approx(on_test[row.level, row.metric], abs=1e-5)
    analyse.evaluate_ensembles(job, finished, 0, {"three": "logits"}, members=3)
    summary = store.read_json(paths.summary(paths.pool(finished, 0, "three", 1)))
    assert summary["members"] == [1, 0, 2]


def test_which_images_are_right_agrees_with_accuracy(job, finished, on_test):
    images = len(job.test.labels)
    for level in range(3):
        right = load_right(paths.level(finished, 0, level), images)
        assert right.shape == (images,)
        assert right.mean() == pytest.approx(on_test[level, "accuracy"], abs=1e-6)


@pytest.mark.slow
def test_a_search_replayed_from_given_values_starts_there_and_asks_for_one_a_level(finished, tiny_config, tmp_path):
    config = tiny_config()
    config.imp.tickets_from = str(finished)
    config.pool.methods = ("reference",)
    config.pool.start = (0.0, 1.0, 0.5)
    run.run(config, tmp_path / "replayed")
    traces = [store.read_json(paths.trace(paths.pool(tmp_path / "replayed", 0, "reference", a))) for a in range(3)]
    assert [trace["start"] for trace in traces] == [0.0, 1.0, 0.5]
    assert [t["accepted"] for t in traces[1]["trials"]] == [False, False]
    assert traces[0]["trials"][0]["accepted"]
    config.pool.start = (0.5,)
    with pytest.raises(ValueError, match=r"pool\.start is \(0\.5,\); .* each of the 3 anchors"):
        run.run(config, tmp_path / "refused")
