"""Training that is cut off anywhere is resumed, and ends with the same bytes."""

import contextlib
import os
import signal
from functools import partial
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_collections import ConfigDict

from lpjax import models, run, sparsity, store
from lpjax.errors import UserError
from lpjax.run import imp, preemption, training
from lpjax.run.schedule import schedules
from lpjax.run.setup import SeedKeys, prepare
from lpjax.run.sparse import sparse_stage
from lpjax.run.stage import run_stage
from lpjax.store import paths
from lpjax.tickets import IMPState
from lpjax.types import Variables
from tests.networks import one_convolution
from tests.run.stand_ins import Count

KEYS = SeedKeys.of(0)
STEPS = range(1, 10)  # three epochs of three; the rewind point, step 4, splits the second


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


@contextlib.contextmanager
def stopped(at, how="killed", what=""):
    """Ends training, of anything or of `what`, when a number of steps is done; fails if that never comes."""
    should_save, ends = training.Loop._should_save, {"killed": Killed, "terminated": preemption.Preempted}

    def last(self, step):
        here = step >= at and what in ("", self.what)
        if here and how == "killed":
            raise Killed
        if here:
            os.kill(os.getpid(), signal.SIGTERM)
        return should_save(self, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.Loop, "_should_save", last)
        with pytest.raises(ends[how]), preemption.handle_preemption():
            yield


def setup_of(config):
    return prepare(run.resolve(config))


def with_settings(setup, **changes):
    """Changes what needs no compiling."""
    config = ConfigDict(setup.config.to_dict())
    config.update_from_flattened_dict({name.replace("__", "."): value for name, value in changes.items()})
    return setup._replace(config=config)


@pytest.fixture(scope="module", autouse=True)
def _one_convolution(tiny_network):
    """The network of these tests compiles at once."""
    del tiny_network
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(models.MODELS, "tiny", one_convolution)
        yield


@pytest.fixture(scope="module")
def dense(tiny_config, _all_on_one_device, _one_convolution):
    del _all_on_one_device, _one_convolution
    return setup_of(tiny_config(save_every="2it"))


@pytest.fixture(scope="module")
def wholes(dense, tmp_path_factory):
    """Levels trained without interruption, each once."""
    found = {}

    def whole(number, level_0):
        if (number, level_0) not in found:
            setup = with_settings(dense, imp__dense=level_0, save_every="1000it")
            found[number, level_0] = trained(setup, tmp_path_factory.mktemp("whole"), number)
        return found[number, level_0]

    return whole


def trained(setup, directory, number):
    """Trains a level; returns all that comes of it."""
    start, mask = setup.network.initialize(KEYS.initial), setup.network.mask
    if number:
        flags = sparsity.as_tree(sparsity.prunable_leaves(mask, setup.network.prunable), mask)
        mask = jax.tree.map(lambda m, counted: np.arange(m.size).reshape(m.shape) % 4 < 4 - counted, mask, flags)
    params = Variables(sparsity.apply_mask(start.params, mask), start.stats)
    state = IMPState(number, params, Variables(mask, sparsity.full_mask(start.stats)), None)
    progress = Count()
    result = imp._train_level(setup, directory, number, state, KEYS.train, progress)
    assert progress.done == imp._epochs(setup, [number])
    kept = {"best": result.best, "last": result.state.variables, "rewind_point": result.rewind_point}
    return jax.device_get(kept), paths.metrics(directory).read_bytes()


def steps_saved(directory):
    place = paths.progress(directory)
    return int(store.restore_progress(place)["state"]["step"]) if store.exists(place) else 0


def assert_same(got, wanted):
    jax.tree.map(np.testing.assert_array_equal, got[0], wanted[0])
    assert got[1] == wanted[1]


slow = partial(pytest.param, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("number", "level_0", "at", "how", "saved"),
    [
        slow(0, "whole", 5, "killed", 4),  # after the rewind point
        slow(0, "whole", 2, "terminated", 2),  # before it, amid an epoch
        slow(0, "whole", 1, "killed", 0),  # before anything was saved
        slow(0, "rewound", 3, "terminated", 3),  # amid the pretraining, at the end of an epoch
        slow(0, "rewound", 4, "terminated", 4),  # at the rewind point, where the moments start anew
        slow(0, "rewound", 8, "killed", 6),
        slow(1, "whole", 6, "terminated", 6),
        slow(1, "whole", 9, "terminated", 9),  # when all is done
    ],
)
def test_a_level_cut_off_anywhere_ends_with_the_same_bytes(number, level_0, at, how, saved, dense, wholes, tmp_path):
    setup = with_settings(dense, imp__dense=level_0)
    with stopped(at, how):
        trained(setup, tmp_path, number)
    assert steps_saved(tmp_path) == saved
    assert_same(trained(setup, tmp_path, number), wholes(number, level_0))


@pytest.mark.slow
@given(
    st.sampled_from([0, 1]),
    st.sampled_from(["whole", "rewound"]),
    st.integers(1, 5),
    st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from(["killed", "terminated"])), max_size=4),
)
@settings(max_examples=10)
def test_a_level_cut_off_again_and_again_ends_with_the_same_bytes(
    dense, wholes, tmp_path_factory, number, level_0, every, ends
):
    setup = with_settings(dense, imp__dense=level_0, save_every=f"{every}it")
    directory = tmp_path_factory.mktemp("cut")
    for at, how in ends:
        if steps_saved(directory) < STEPS[-1]:  # else nothing is left to interrupt
            with stopped(at, how):
                trained(setup, directory, number)
    assert_same(trained(setup, directory, number), wholes(number, level_0))


def test_what_was_written_after_the_last_save_is_written_again_and_nothing_twice(dense, wholes, tmp_path):
    setup = with_settings(dense, save_every="5it")
    with stopped(9):
        trained(setup, tmp_path, 0)
    assert [line["step"] for line in store.read_jsonl(paths.metrics(tmp_path))] == [3, 6, 9]
    assert_same(trained(setup, tmp_path, 0), wholes(0, "whole"))


def test_damaged_progress_is_named(dense, tmp_path):
    with stopped(5, "terminated"):
        trained(dense, tmp_path, 0)
    metrics = paths.metrics(tmp_path).read_bytes()
    paths.metrics(tmp_path).write_bytes(b"")
    with pytest.raises(store.DamagedProgress, match=r"metrics\.jsonl"):
        trained(dense, tmp_path, 0)
    paths.metrics(tmp_path).write_bytes(metrics)
    file = max((p for p in paths.progress(tmp_path).rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(store.DamagedProgress) as refusal:
        trained(dense, tmp_path, 0)
    assert str(paths.progress(tmp_path)) in str(refusal.value)


def spoiled(setup, at):
    """Makes the loss of one step infinite, and of all later ones not a number."""

    def training_step(name, optimizer):
        compiled = setup.training_step(name, optimizer)

        def step(state, *batch):
            before = int(state.step)
            state, seen = compiled(state, *batch)
            factor = 1 if before + 1 < at else np.inf if before + 1 == at else np.nan
            return state, seen._replace(loss=seen.loss * np.float32(factor))

        return step

    return setup._replace(training_step=training_step)


@pytest.mark.parametrize(("every", "kept"), [("2it", "the progress of step 4"), ("1000it", "the start of level 0")])
def test_a_loss_that_is_not_finite_names_its_step_and_what_is_kept(every, kept, dense, wholes, tmp_path):
    setup = with_settings(dense, save_every=every)
    with pytest.raises(UserError, match=r"inf .*step 5 of level 0.*train\.learning_rate") as refusal:
        trained(spoiled(setup, 5), tmp_path, 0)
    assert kept in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert store.exists(paths.progress(tmp_path)) == (every == "2it")
    assert_same(trained(setup, tmp_path, 0), wholes(0, "whole"))  # what is kept is good


def test_several_steps_in_one_call_are_saved_once_a_multiple_was_passed(tmp_path):
    setup = SimpleNamespace(steps=lambda duration: 5, config=SimpleNamespace(save_every="5it"))
    loop = training.Loop(setup, tmp_path, "level 0", Count())
    saved = []
    for step in range(3, 31, 3):
        if loop._should_save(step):
            saved.append(step)
            state = SimpleNamespace(step=np.int32(step))
            loop.training = SimpleNamespace(state=state, _asdict=lambda step=step: {"step": np.int32(step)})
            loop.save()
    loop.wait()
    assert saved == [6, 12, 15, 21, 27, 30]


def bytes_of(workdir):
    """All that a finished run leaves, apart from what tells the time or names machines."""
    files = [p for p in sorted(workdir.rglob("*")) if p.suffix in (".jsonl", ".csv") or p.name == "evaluation.json"]
    tickets = [p for p in sorted(workdir.rglob("*")) if p.name in ("ticket", "start", "rewind", "successor")]
    summaries = [store.read_json(p) | {"seconds": 0} for p in sorted(workdir.rglob("summary.json"))]
    named = {str(p.relative_to(workdir)): p.read_bytes() for p in files}
    return named, {str(p.relative_to(workdir)): store.restore(p) for p in tickets}, summaries


def assert_same_run(got, wanted):
    (files, trees, summaries), (same_files, same_trees, same_summaries) = bytes_of(got), bytes_of(wanted)
    assert files == same_files
    jax.tree.map(np.testing.assert_array_equal, trees, same_trees)
    assert summaries == same_summaries
    assert not [p for p in got.rglob("*") if p.name.startswith((".progress", "progress", ".ticket"))]


@pytest.fixture(scope="module")
def whole_runs(tiny_config, _one_convolution, tmp_path_factory):
    """Runs without interruption, with their configs: the dense level in one training, or from the rewind point."""
    del _one_convolution
    found = {}
    for level_0 in ("whole", "rewound"):
        config = tiny_config(save_every="2it", imp__dense=level_0, pool__methods=("uniform",))
        workdir = tmp_path_factory.mktemp("runs") / level_0
        run.run(config, workdir)
        found[level_0] = config, workdir
    return found


@pytest.mark.slow
@pytest.mark.parametrize("how", ["killed", "terminated"])
@pytest.mark.parametrize("level_0", ["whole", "rewound"])
def test_a_run_cut_off_in_every_level_ends_with_the_same_bytes(how, level_0, whole_runs, tmp_path):
    config, whole = whole_runs[level_0]
    for number, at in ((0, 3), (0, 7), (1, 5), (1, 8), (2, 6)):
        with stopped(at, how, f"level {number}"):
            run.run(config, tmp_path / "cut")
    run.run(config, tmp_path / "cut")
    assert_same_run(tmp_path / "cut", whole)


@pytest.fixture(scope="module")
def sparse(tiny_config, _all_on_one_device, _one_convolution):
    """Six epochs of three steps: three before, then three cycles of one; masks change every second step."""
    del _all_on_one_device, _one_convolution
    config = tiny_config(
        train__duration="6ep",
        train__milestones=("4ep",),
        sparse__method="rigl",
        sparse__density=0.2,
        sparse__every="2it",
        sparse__prune_until="2ep",
        superpose__share=0.5,
        superpose__cycle="4it",  # epochs, masks and cycles end at different steps
        superpose__low=0.01,
        superpose__high=0.05,
        superpose__first="phase",
        superpose__base=False,
        save_every="2it",
    )
    return setup_of(config)


def train_sparse(setup, workdir):
    (schedule,) = schedules(setup.config, setup.steps)
    assert schedule.phases == (10, 4, 2)
    run_stage(setup, sparse_stage(setup.config, workdir, 0, schedule))


@pytest.fixture(scope="module")
def whole_training(sparse, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("sparse")
    train_sparse(with_settings(sparse, save_every="1000it"), workdir)
    return workdir


@pytest.mark.slow
@pytest.mark.parametrize("how", ["killed", "terminated"])
@pytest.mark.parametrize("at", [[4], [10], [12], [14, 15], [17], [5, 11, 16, 17]])
def test_sparse_training_cut_off_anywhere_ends_with_the_same_bytes(at, how, sparse, whole_training, tmp_path):
    for step in at:
        with stopped(step, how):
            train_sparse(sparse, tmp_path)
    train_sparse(sparse, tmp_path)
    assert_same_run(tmp_path, whole_training)


@pytest.mark.slow
def test_a_ticket_deleted_amid_sparse_training_is_made_again(sparse, whole_training, tmp_path):
    with stopped(17, "terminated"):
        train_sparse(sparse, tmp_path)
    store.remove(paths.ticket(paths.level(tmp_path, 0, 1)))
    train_sparse(sparse, tmp_path)
    assert_same_run(tmp_path, whole_training)
