"""The plan of a run: pure, and one stage after another; what is there already is not built again."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from lpjax import data, run, store
from lpjax.errors import UserError
from lpjax.run import preemption, stage
from lpjax.run.plan import describe, levels_of, plan
from lpjax.run.schedule import schedules
from lpjax.run.stage import Output, Stage, run_stage
from lpjax.store import paths
from lpjax.types import Ticket


def steps(duration):
    """Ten steps an epoch."""
    return int(duration[:-2]) * (10 if duration.endswith("ep") else 1)


@pytest.fixture
def untouched(tmp_path, monkeypatch):
    """Fails where anything is loaded, compiled or written."""
    del tmp_path  # made before
    monkeypatch.setattr(data, "load", lambda *_, **__: pytest.fail("loads data"))
    monkeypatch.setattr(jax, "jit", lambda *_, **__: pytest.fail("compiles"))
    monkeypatch.setattr("pathlib.Path.mkdir", lambda *_, **__: pytest.fail("writes"))
    monkeypatch.setattr("pathlib.Path.open", lambda *_, **__: pytest.fail("opens a file"))


def config_of(**changes):
    config = run.default_config()
    config.imp.levels, config.pool.methods, config.seeds = 2, ("uniform", "swa"), (0, 5)
    config.sparse.every = "100it"
    config.update_from_flattened_dict({name.replace("__", "."): value for name, value in changes.items()})
    return run.resolve(config)


def names(stages):
    return [stage.name for stage in stages]


@pytest.mark.usefixtures("untouched")
def test_lottery_pools_are_tickets_pools_and_evaluation_per_seed(tmp_path):
    stages = plan(config_of(), tmp_path, steps)
    assert names(stages) == [f"seed {seed} {part}" for seed in (0, 5) for part in ("tickets", "pools", "evaluation")]
    tickets, pools, evaluation, *_ = stages
    assert list(tickets.outputs) == [0, 1]
    assert list(pools.outputs) == [("uniform", 0), ("uniform", 1), ("swa", 0), ("swa", 1)]
    assert pools.outputs["swa", 1] == paths.pool(tmp_path, 0, "swa", 1)
    assert list(evaluation.outputs.values()) == [*tickets.outputs.values(), *pools.outputs.values()]


@pytest.mark.usefixtures("untouched")
def test_sup_tickets_are_two_trainings_the_averages_and_evaluation(tmp_path):
    config = config_of(seeds=(3,), sparse__method="rigl", superpose__averages=("cia", "caa"), superpose__ensemble=True)
    stages = plan(config, tmp_path, steps)
    assert names(stages) == [
        "seed 3 base network",
        "seed 3 Sup-tickets",
        "seed 3 cia",
        "seed 3 caa",
        "seed 3 evaluation",
        "seed 3 ensembles",
    ]
    assert levels_of(config, steps) == range(3)
    assert [list(stage.outputs) for stage in stages[:3]] == [[0], [1, 2], [1, 2]]
    assert stages[1].outputs[2] == paths.level(tmp_path, 3, 2)
    assert list(stages[-1].outputs) == [("ensemble", 1), ("ensemble", 2)]


@pytest.mark.usefixtures("untouched")
def test_corruptions_come_last_and_once_for_all_seeds(tmp_path):
    stages = plan(config_of(corruptions__measure="benchmark"), tmp_path, steps)
    assert names(stages)[-1] == "corruptions"
    assert len(stages[-1].outputs) == 2 * 2 * 3


@pytest.mark.usefixtures("untouched")
def test_imported_tickets_take_the_place_of_trained_ones(tmp_path):
    stages = plan(config_of(imp__tickets_from="elsewhere"), tmp_path, steps)
    assert (stages[0].name, stages[0].unit, stages[0].trains) == ("seed 0 tickets", "ticket", False)


def test_times_that_do_not_fit_are_refused_by_the_plan(tmp_path):
    with pytest.raises(UserError, match=r"superpose\.share"):
        plan(config_of(sparse__method="rigl", superpose__share=0.01), tmp_path, steps)


def test_the_stages_of_sparse_training_collect_what_its_schedules_say(tmp_path):
    config = config_of(seeds=(0,), sparse__method="set", superpose__base=False)
    (cheap,) = schedules(config, steps)
    stages = plan(config, tmp_path, steps)
    assert list(stages[0].outputs) == list(cheap.collect)


# Stages, with a builder that computes nothing


def output(directory, level, **more):
    ticket = Ticket({"kernel": np.full((2, 2), level, np.float32)}, {"kernel": np.ones((2, 2), bool)})
    return Output(directory, ticket=ticket, summary={"level": level}, message=f"level {level} done", **more)


class Builder:
    """Builds outputs of a network of four weights, and counts them; stops before the one that is told."""

    def __init__(self, tmp_path, levels=3, stop_before=None):
        self.built = []
        self.closed = False
        self.stage = Stage(
            name="seed 0 tickets",
            unit="ticket",
            outputs={level: paths.level(tmp_path, 0, level) for level in range(levels)},
            is_complete=lambda level, directory: stage.is_done(directory),
            build=self.build,
            trains=True,
        )
        self.stop_before = stop_before

    def build(self, setup, missing, progress):
        try:
            for level in missing:
                if level == self.stop_before:
                    raise RuntimeError("killed")
                self.built.append(level)
                progress.advance()
                yield output(self.stage.outputs[level], level)
        finally:
            self.closed = True


@pytest.fixture
def setup():
    """What a builder that computes nothing needs."""
    return SimpleNamespace(network=SimpleNamespace(prunable=lambda path, leaf: True))


def test_a_stage_builds_what_is_missing_and_nothing_else(setup, tmp_path):
    builder = Builder(tmp_path)
    run_stage(setup, builder.stage)
    assert builder.built == [0, 1, 2]
    store.remove(paths.ticket(builder.stage.outputs[1]))
    paths.summary(builder.stage.outputs[2]).unlink()
    assert builder.stage.missing() == [1, 2]
    run_stage(setup, builder.stage)
    assert builder.built == [0, 1, 2, 1, 2]
    assert builder.stage.missing() == []


def test_a_stage_whose_outputs_are_complete_builds_nothing(setup, tmp_path):
    run_stage(setup, Builder(tmp_path).stage)
    again = Builder(tmp_path)
    run_stage(setup, again.stage)
    assert (again.built, again.closed) == ([], False)


def test_what_was_written_before_a_builder_fails_is_whole(setup, tmp_path):
    with pytest.raises(RuntimeError, match="killed"):
        run_stage(setup, Builder(tmp_path, stop_before=2).stage)
    again = Builder(tmp_path)
    assert again.stage.missing() == [2]
    run_stage(setup, again.stage)
    assert again.built == [2]


def test_progress_outlives_nothing_but_its_own_unfinished_level(setup, tmp_path):
    builder = Builder(tmp_path)
    for directory in builder.stage.outputs.values():
        store.save(paths.progress(directory), state={"step": 3})
    paths.summary(builder.stage.outputs[0]).write_text("{}")
    run_stage(setup, builder.stage)
    assert not any(store.exists(paths.progress(directory)) for directory in builder.stage.outputs.values())
    store.save(paths.progress(builder.stage.outputs[1]), state={"step": 3})
    run_stage(setup, builder.stage)  # a killed run may have left it beside a whole level
    assert not store.exists(paths.progress(builder.stage.outputs[1]))


def test_a_builder_that_is_stopped_is_closed_at_once(setup, tmp_path, monkeypatch):
    builder = Builder(tmp_path)

    def refuse(setup, output):
        raise store.StorageError("full")

    monkeypatch.setattr(stage, "commit", refuse)
    with pytest.raises(store.StorageError) as caught:
        run_stage(setup, builder.stage)
    assert builder.closed, caught  # though the error still refers to it


def test_what_is_written_comes_in_the_order_in_which_a_killed_run_loses_nothing(setup, tmp_path, monkeypatch):
    directory = paths.level(tmp_path, 0, 1)
    for outdated in (paths.evaluation(directory), paths.corruptions(directory)):
        store.write_text(outdated, "of an older ticket\n")
    store.save(paths.progress(directory), state={"step": 3})
    written = []

    def record(name, path_of):
        call = getattr(store, name)

        def recorded(*arguments, **options):
            path = path_of(*arguments)
            outdated = paths.evaluation(directory).exists() or paths.corruptions(directory).exists()
            written.append((name, path.relative_to(tmp_path).as_posix(), outdated))
            return call(*arguments, **options)

        monkeypatch.setattr(store, name, recorded)

    for name in ("save", "save_ticket", "write_json", "append_jsonl", "remove"):
        record(name, lambda path, *_: path)
    given = output(
        directory,
        1,
        checkpoints={paths.successor(directory): {"mask": {"kernel": np.ones(2, bool)}}},
        records={paths.trace(directory): {"trials": []}},
        lines={directory / "lines.jsonl": {"value": 1}},
    )
    stage.commit(setup, given)
    level = "seed_0/level_01"
    assert [(name, path) for name, path, _ in written] == [
        ("save", f"{level}/successor"),
        ("save_ticket", f"{level}/ticket"),
        ("write_json", f"{level}/trace.json"),
        ("append_jsonl", f"{level}/lines.jsonl"),
        ("write_json", f"{level}/summary.json"),
        ("remove", f"{level}/progress"),
    ]
    assert not any(outdated for name, _, outdated in written if name != "save")  # no ticket has another's evaluation


@pytest.mark.parametrize("advances", [0, 1, 2])
def test_a_stage_stops_between_units_and_what_it_wrote_is_whole(advances, setup, tmp_path, monkeypatch):
    asked = iter([False] * advances)

    def check():
        if next(asked, True):
            raise preemption.Preempted

    monkeypatch.setattr(stage, "check_preemption", check)
    with pytest.raises(preemption.Preempted):
        run_stage(setup, Builder(tmp_path).stage)
    done = [level for level in range(3) if stage.is_done(paths.level(tmp_path, 0, level))]
    assert done == list(range(-(-advances // 2)))  # asked after the unit and after what it wrote
    monkeypatch.undo()
    again = Builder(tmp_path)
    run_stage(setup, again.stage)
    assert again.built == [level for level in range(3) if level not in done]


def test_stages_are_described_by_what_is_done_and_what_comes_next(setup, tmp_path):
    builder = Builder(tmp_path)
    assert describe([builder.stage]) == "seed 0 tickets: 0 of 3 done"
    with pytest.raises(RuntimeError):
        run_stage(setup, Builder(tmp_path, stop_before=1).stage)
    assert describe([builder.stage]) == f"seed 0 tickets: 1 of 3 done, next {paths.level(tmp_path, 0, 1)}"
    run_stage(setup, builder.stage)
    assert describe([builder.stage] * 2) == "seed 0 tickets: 3 of 3 done\nseed 0 tickets: 3 of 3 done"
