"""The whole run, small: what it leaves on disk, and that the same work gives the same numbers."""

import itertools
import json
import shutil

import jax
import numpy as np
import pytest

from lpjax import run, sparsity, store
from lpjax.errors import UserError
from lpjax.run.config import as_json
from lpjax.store import paths

METHODS = ("recalibrated", "interpolation", "uniform")


@pytest.mark.slow
def test_levels_keep_exactly_the_counts_of_the_rule(finished):
    counts = [store.read_json(paths.summary(paths.level(finished, 0, level)))["kept"] for level in range(3)]
    total = store.read_json(paths.summary(paths.level(finished, 0, 0)))["total"]
    assert counts[0] == total
    assert counts[1:] == [n - round(0.2 * n) for n in counts[:-1]]


@pytest.mark.slow
def test_tickets_and_pools_are_zero_outside_their_masks_and_masks_nest(finished):
    masks = []
    for level in range(3):
        ticket = store.restore_ticket(paths.ticket(paths.level(finished, 0, level)))
        pool = store.restore_ticket(paths.ticket(paths.pool(finished, 0, "interpolation", level)))
        counts = [int(sparsity.kept(sparse.mask, sparsity.convolution_kernels)) for sparse in (ticket, pool)]
        assert counts == [store.read_json(paths.summary(paths.level(finished, 0, level)))["kept"]] * 2
        for sparse in (ticket, pool):
            outside = jax.tree.map(lambda m, p: np.where(m, 0, p), sparse.mask, sparse.params)
            assert not any(leaf.any() for leaf in jax.tree.leaves(outside))
        masks.append(ticket.mask)
    for denser, sparser in itertools.pairwise(masks):
        assert all(jax.tree.leaves(jax.tree.map(lambda d, s: bool(np.all(d | ~s)), denser, sparser)))


@pytest.mark.slow
def test_a_trace_tells_every_trial_and_acceptance_never_lowers_validation(finished):
    for anchor in range(3):
        trace = store.read_json(paths.trace(paths.pool(finished, 0, "interpolation", anchor)))
        assert [t["candidate"] for t in trace["trials"]] == [[1, 2], [0, 2], [1, 0]][anchor]
        value = trace["start"]
        for trial in trace["trials"]:
            assert trial["coefficients"] == [0.25, 0.75]
            # Mixes are ranked by batch statistics; the value is that of the best one, recalibrated.
            assert trial["coefficient"] == trial["coefficients"][np.argmax(trial["values"])]
            assert trial["accepted"] == (trial["value"] >= value)
            value = max(value, trial["value"])
        assert store.read_json(paths.summary(paths.pool(finished, 0, "interpolation", anchor)))[
            "value"
        ] == pytest.approx(value)


@pytest.mark.slow
def test_results_hold_every_network_split_and_metric(finished):
    rows = store.read_results(paths.results(finished))
    assert len(rows) == (1 + len(METHODS)) * 3 * (2 * 3 + 6)
    assert {r.method for r in rows} == {"ticket", *METHODS}
    assert all(0 <= r.value <= 1 for r in rows if r.metric in ("accuracy", "ece"))


@pytest.mark.slow
def test_the_validation_accuracy_of_a_ticket_is_the_best_of_its_epochs(finished):
    rows = store.read_results(paths.results(finished))
    for level in range(3):
        epochs = store.read_jsonl(paths.metrics(paths.level(finished, 0, level)))
        (row,) = [
            r for r in rows if (r.level, r.method, r.split, r.metric) == (level, "ticket", "validation", "accuracy")
        ]
        assert row.value == pytest.approx(max(e["validation_accuracy"] for e in epochs), abs=1e-6)


@pytest.mark.slow
def test_the_same_command_again_changes_nothing(finished, tiny_config):
    said = {paths.environment(finished), paths.log(finished, 0), paths.lock(finished)}
    before = {p: p.stat().st_mtime_ns for p in finished.rglob("*") if p.is_file() and p not in said}
    results = paths.results(finished).read_bytes()
    run.run(tiny_config(), finished)
    touched = {p for p, t in before.items() if p.stat().st_mtime_ns != t} - {paths.results(finished)}
    assert not touched
    assert paths.results(finished).read_bytes() == results


@pytest.mark.slow
def test_a_run_cut_off_after_a_level_ends_with_the_same_bytes(finished, tmp_path, tiny_config):
    resumed = tmp_path / "resumed"
    shutil.copytree(finished, resumed)
    for level in (1, 2):
        shutil.rmtree(paths.level(resumed, 0, level))
    shutil.rmtree(resumed / "seed_0" / "pools")
    paths.results(resumed).unlink()
    run.run(tiny_config(), resumed)
    assert paths.results(resumed).read_bytes() == paths.results(finished).read_bytes()


@pytest.mark.slow
def test_a_work_directory_of_another_config_is_refused_and_left_alone(finished, tiny_config):
    config = tiny_config()
    config.imp.levels = 2
    before = paths.config(finished).read_bytes()
    with pytest.raises(UserError, match=r"imp\.levels .*3 .*2 "):
        run.run(config, finished)
    assert paths.config(finished).read_bytes() == before


@pytest.mark.slow
def test_a_damaged_ticket_is_named(finished, tmp_path, tiny_config):
    broken = tmp_path / "broken"
    shutil.copytree(finished, broken)
    ticket = paths.ticket(paths.level(broken, 0, 1))
    largest = max((p for p in ticket.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])
    shutil.rmtree(broken / "seed_0" / "pools")
    with pytest.raises(store.DamagedTicket, match="level_01"):
        run.run(tiny_config(), broken)


@pytest.mark.slow
def test_a_ticket_of_another_architecture_is_refused_naming_the_leaf(finished, tmp_path, tiny_config):
    mixed = tmp_path / "mixed"
    shutil.copytree(finished, mixed)
    wide = tiny_config()
    wide.width = 16
    wide.imp.levels = 1
    run.run(wide, tmp_path / "wide")
    ticket = paths.ticket(paths.level(mixed, 0, 2))
    shutil.rmtree(ticket)
    shutil.copytree(paths.ticket(paths.level(tmp_path / "wide", 0, 0)), ticket)
    shutil.rmtree(mixed / "seed_0" / "pools")
    with pytest.raises(UserError, match=r"level_02.*'bn1/bias'.*\(16,\).*\(8,\)"):
        run.run(tiny_config(), mixed)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_the_run_and_says_where(tmp_path, tiny_config):
    config = tiny_config()
    config.train.learning_rate = 1e30
    with pytest.raises(UserError, match=r"step \d+ of level 0.*train\.learning_rate"):
        run.run(config, tmp_path / "diverging")


@pytest.mark.slow
def test_learning_rate_rewinding_resumes_too(tmp_path, tiny_config):
    config = tiny_config()
    config.imp.rewind = "final"
    config.imp.ticket = "last"
    config.imp.mask_from = "ticket"
    config.imp.scope = "layerwise"
    config.imp.score = "random"
    config.pool.methods = ("average",)
    config.pool.prune = "after"
    config.pool.recalibration_batches = "fresh"
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    run.run(config, whole)
    shutil.copytree(whole, resumed)
    shutil.rmtree(paths.level(resumed, 0, 2))
    shutil.rmtree(resumed / "seed_0" / "pools")
    run.run(config, resumed)
    assert paths.results(resumed).read_bytes() == paths.results(whole).read_bytes()


@pytest.mark.slow
def test_more_seeds_and_methods_join_the_same_directory(finished, tmp_path, tiny_config):
    grown = tmp_path / "grown"
    shutil.copytree(finished, grown)
    config = tiny_config()
    config.seeds = (1,)
    config.pool.methods = ("average",)
    run.run(config, grown)
    rows = store.read_results(paths.results(grown))
    assert {r.method for r in rows if r.seed == 1} == {"ticket", "average"}
    assert [r for r in rows if r.seed == 0] == store.read_results(paths.results(finished))
    assert json.loads(paths.config(grown).read_text())["seeds"] == [0, 1]


@pytest.mark.slow
@pytest.mark.parametrize("lost", [paths.ticket, paths.successor])
def test_what_is_deleted_is_recomputed_alone_and_the_same(finished, tmp_path, lost, tiny_config):
    mended = tmp_path / "mended"
    shutil.copytree(finished, mended)
    shutil.rmtree(lost(paths.level(mended, 0, 1)))
    untouched = paths.metrics(paths.level(mended, 0, 2)).stat().st_mtime_ns
    run.run(tiny_config(), mended)
    assert paths.metrics(paths.level(mended, 0, 2)).stat().st_mtime_ns == untouched
    for item in (paths.ticket, paths.successor):
        before, after = (store.restore(item(paths.level(workdir, 0, 1))) for workdir in (finished, mended))
        jax.tree.map(np.testing.assert_array_equal, before, after)


def test_a_run_that_is_resumed_elsewhere_says_what_differs_in_one_line(tiny_config, tmp_path, monkeypatch, capsys):
    there, resolved = store.environment(), as_json(run.resolve(tiny_config()))
    run._bind_or_refuse(tmp_path, resolved, "")
    run._bind_or_refuse(tmp_path, resolved, "")
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(store, "environment", lambda: there | {"devices": {"gpu H200": 2}, "processes": 2})
    for _ in range(2):
        run._bind_or_refuse(tmp_path, resolved, "")
        (line,) = capsys.readouterr().out.splitlines()
        assert "(devices 8 x cpu cpu there, 2 x gpu H200 here; processes 1 there, 2 here): numbers may differ" in line
    assert store.read_json(paths.environment(tmp_path)) == there
    store.write_json(paths.environment(tmp_path), {"lpjax": "of an older version"})
    run._bind_or_refuse(tmp_path, resolved, "")
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_results_are_there_while_corruptions_are_still_measured(finished, tmp_path, tiny_config, monkeypatch):
    workdir = shutil.copytree(finished, tmp_path / "run")
    paths.results(workdir).unlink()

    def stop(setup, stage):
        if stage.name == "corruptions":
            raise KeyboardInterrupt

    monkeypatch.setattr(run, "run_stage", stop)
    with pytest.raises(KeyboardInterrupt):
        run.run(tiny_config(corruptions__measure="all"), workdir)
    assert paths.results(workdir).read_bytes() == paths.results(finished).read_bytes()


def test_a_plan_is_shown_and_nothing_is_written(tmp_path, tiny_config):
    text = run.show_plan(tiny_config(), tmp_path / "run")
    assert text.splitlines() == [
        "seed 0 tickets: 0 of 3 done",
        "seed 0 pools: 0 of 9 done",
        "seed 0 evaluation: 0 of 12 done",
    ]
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_settings_that_do_not_what_they_seem_to_are_warned_of_and_logged(finished, tmp_path, tiny_config, capsys):
    workdir = shutil.copytree(finished, tmp_path / "run")
    config = tiny_config(train__milestones=("2ep", "3ep"))
    store.write_json(paths.config(workdir), as_json(run.resolve(config)))
    run.run(config, workdir)
    for text in (capsys.readouterr().out, paths.log(workdir, 0).read_text()):
        assert "train.milestones 3ep" in text
