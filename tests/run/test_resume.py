"""Runs that are cut off anywhere go on, and end with the same bytes."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_collections import ConfigDict

from lpjax import models, run, sparsity, store
from lpjax.run import level, notice, saving
from lpjax.run.arms import arms
from lpjax.run.config import resolve
from lpjax.run.imp import SeedKeys
from lpjax.run.job import prepare
from lpjax.run.progress import Progress
from lpjax.run.sparse import train_arms
from lpjax.store import paths

ROOT = Path(__file__).parents[2]
KEYS = SeedKeys.of(0)
STEPS = range(1, 10)  # three epochs of three; the rewind point, step 4, splits the second


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


@contextlib.contextmanager
def stopped(at, how="killed", what=""):
    """Ends training, of anything or of `what`, when a number of steps is done; fails if that never comes."""
    due, ends = saving.Saver.due, {"killed": Killed, "terminated": notice.Preempted}

    def last(self, step):
        here = step >= at and what in ("", self.what)
        if here and how == "killed":
            raise Killed
        if here:
            os.kill(os.getpid(), signal.SIGTERM)
        return due(self, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saving.Saver, "due", last)
        with pytest.raises(ends[how]), notice.on_notice():
            yield


def job_of(config, **changes):
    config = ConfigDict(resolve(config))
    config.update_from_flattened_dict({name.replace("__", "."): value for name, value in changes.items()})
    return prepare(config)


def with_settings(job, **changes):
    """Changes what needs no compiling."""
    config = ConfigDict(job.config.to_dict())
    config.update_from_flattened_dict({name.replace("__", "."): value for name, value in changes.items()})
    return job._replace(config=config)


@pytest.fixture(scope="module", autouse=True)
def _one_convolution():
    """The network of these tests compiles at once."""
    name, networks = "resnet8", models.MODELS
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(networks, name, partial(networks[name].func, (), **networks[name].keywords))
        yield


@pytest.fixture(scope="module")
def dense_job(tiny_config, _all_on_one_device, _one_convolution):
    del _all_on_one_device, _one_convolution
    return job_of(tiny_config(), save_every="2it")


@pytest.fixture(scope="module")
def wholes(dense_job, tmp_path_factory):
    """Levels trained without interruption, each once."""
    found = {}

    def whole(number, dense):
        if (number, dense) not in found:
            job = with_settings(dense_job, imp__dense=dense, save_every="1000it")
            found[number, dense] = trained(job, tmp_path_factory.mktemp("whole"), number)
        return found[number, dense]

    return whole


def trained(job, directory, number):
    """Trains a level; tells all that comes of it."""
    start, mask = job.initialize(KEYS.initial), job.mask
    if number:
        flags = sparsity.as_tree(sparsity.prunable_leaves(mask, job.prunable), mask)
        mask = jax.tree.map(lambda m, counted: np.arange(m.size).reshape(m.shape) % 4 < 4 - counted, mask, flags)
    variables = start._replace(params=sparsity.apply_mask(start.params, mask))
    with Progress("level", level.epochs(job, number), "epoch") as progress:
        result = level.train_level(job, directory, number, variables, mask, KEYS.train, progress)
    assert progress.done == progress.total
    return jax.device_get(result), paths.metrics(directory).read_bytes()


def steps_saved(directory):
    place = paths.progress(directory)
    return int(store.restore_progress(place)["state"]["step"]) if store.exists(place) else 0


def assert_same(got, wanted):
    jax.tree.map(np.testing.assert_array_equal, got[0], wanted[0])
    assert got[1] == wanted[1]


@pytest.mark.parametrize(
    ("number", "dense", "at", "how", "saved"),
    [
        (0, "whole", 1, "killed", 0),  # before anything was saved
        (0, "whole", 2, "terminated", 2),  # before the rewind point, amid an epoch
        (0, "whole", 5, "killed", 4),  # after it
        (0, "rewound", 3, "terminated", 3),  # amid the pretraining, at the end of an epoch
        (0, "rewound", 4, "terminated", 4),  # at the rewind point, where the moments start anew
        (0, "rewound", 8, "killed", 6),
        (1, "whole", 6, "terminated", 6),
        (1, "whole", 9, "terminated", 9),  # when all is done
    ],
)
def test_a_level_cut_off_anywhere_ends_with_the_same_bytes(number, dense, at, how, saved, dense_job, wholes, tmp_path):
    job = with_settings(dense_job, imp__dense=dense)
    with stopped(at, how):
        trained(job, tmp_path, number)
    assert steps_saved(tmp_path) == saved
    assert_same(trained(job, tmp_path, number), wholes(number, dense))


@pytest.mark.slow
@given(
    st.sampled_from([0, 1]),
    st.sampled_from(["whole", "rewound"]),
    st.integers(1, 5),
    st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from(["killed", "terminated"])), max_size=4),
)
@settings(max_examples=20)
def test_a_level_cut_off_again_and_again_ends_with_the_same_bytes(
    dense_job, wholes, tmp_path_factory, number, dense, every, ends
):
    job, directory = with_settings(dense_job, imp__dense=dense, save_every=f"{every}it"), tmp_path_factory.mktemp("cut")
    for at, how in ends:
        if steps_saved(directory) < STEPS[-1]:  # else nothing is left to interrupt
            with stopped(at, how):
                trained(job, directory, number)
    assert_same(trained(job, directory, number), wholes(number, dense))


def test_what_was_written_after_the_last_save_is_written_again_and_nothing_twice(dense_job, wholes, tmp_path):
    job = with_settings(dense_job, save_every="5it")
    with stopped(9):
        trained(job, tmp_path, 0)
    assert [line["step"] for line in store.read_jsonl(paths.metrics(tmp_path))] == [3, 6, 9]
    assert_same(trained(job, tmp_path, 0), wholes(0, "whole"))


def test_damaged_progress_is_named(dense_job, tmp_path):
    with stopped(5, "terminated"):
        trained(dense_job, tmp_path, 0)
    metrics = paths.metrics(tmp_path).read_bytes()
    paths.metrics(tmp_path).write_bytes(b"")
    with pytest.raises(store.DamagedProgress, match=r"metrics\.jsonl"):
        trained(dense_job, tmp_path, 0)
    paths.metrics(tmp_path).write_bytes(metrics)
    file = max((p for p in paths.progress(tmp_path).rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(store.DamagedProgress) as refusal:
        trained(dense_job, tmp_path, 0)
    assert str(paths.progress(tmp_path)) in str(refusal.value)


def spoilt(job, at):
    """Makes the loss of one step infinite, and of all later ones not a number."""

    def step(state, *batch):
        before = int(state.step)
        state, seen = job.step(state, *batch)
        factor = 1 if before + 1 < at else np.inf if before + 1 == at else np.nan
        return state, seen._replace(loss=seen.loss * np.float32(factor))

    return job._replace(step=step)


@pytest.mark.parametrize(("every", "kept"), [("2it", "the progress of step 4"), ("1000it", "the start of level 0")])
def test_a_loss_that_is_not_finite_names_its_step_and_what_is_kept(every, kept, dense_job, wholes, tmp_path):
    job = with_settings(dense_job, save_every=every)
    with pytest.raises(ValueError, match=r"loss is inf .*step 5 of level 0.*train\.learning_rate") as refusal:
        trained(spoilt(job, 5), tmp_path, 0)
    assert kept in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert store.exists(paths.progress(tmp_path)) == (every == "2it")
    assert_same(trained(job, tmp_path, 0), wholes(0, "whole"))  # what is kept is good


def test_several_steps_in_one_call_are_saved_once_a_multiple_was_passed(dense_job, tmp_path):
    saver = saving.Saver(with_settings(dense_job, save_every="5it"), tmp_path / "progress", "level 0")
    calls, saved = range(3, 31, 3), []
    for step in calls:
        if saver.due(step):
            saved.append(step)
            saver.save(step, level.Training(np.int32(step), saving.NOTHING, 0, None, 0.0, None))
    saver.wait()
    assert saved == [6, 12, 15, 21, 27, 30]


def test_a_notice_outside_training_stops_at_once_and_the_old_handler_comes_back():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(notice.Preempted) as stop, notice.on_notice():
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_no_handler_is_asked_for_outside_the_main_thread():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def nested():
        with notice.on_notice(), notice.on_notice():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=nested)
    thread.start()
    thread.join()
    assert seen == [before]


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


def test_a_run_that_goes_on_elsewhere_says_what_differs_in_one_line(tiny_config, tmp_path, monkeypatch, capsys):
    there, resolved = store.environment(), resolve(tiny_config())
    run._claim(tmp_path, resolved, "")
    run._claim(tmp_path, resolved, "")
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(store, "environment", lambda: there | {"devices": {"gpu H200": 2}, "processes": 2})
    for _ in range(2):
        run._claim(tmp_path, resolved, "")
        (said,) = capsys.readouterr().out.splitlines()
        assert "(devices 8 x cpu cpu there, 2 x gpu H200 here; processes 1 there, 2 here): numbers may differ" in said
    assert store.read_json(paths.environment(tmp_path)) == there
    store.write_json(paths.environment(tmp_path), {"lpjax": "of an older version"})
    run._claim(tmp_path, resolved, "")
    assert capsys.readouterr().out == ""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["killed", "terminated"])
@pytest.mark.parametrize("dense", ["whole", "rewound"])
def test_a_run_cut_off_in_every_level_ends_with_the_same_bytes(how, dense, tiny_config, tmp_path, monkeypatch):
    config = tiny_config()
    config.save_every, config.imp.dense = "2it", dense
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    job = run.run(config, whole)
    monkeypatch.setattr(run, "prepare", lambda _: job)  # spares compiling it again
    for number, at in ((0, 3), (0, 7), (1, 5), (1, 8), (2, 6)):
        with stopped(at, how, f"level {number}"):
            run.run(config, cut)
    run.run(config, cut)
    assert_same_run(cut, whole)


@pytest.fixture(scope="module")
def sparse_job(tiny_config, _all_on_one_device, _one_convolution):
    """Six epochs of three steps: three before, then three cycles of one; masks change every second step."""
    del _all_on_one_device, _one_convolution
    changes = {
        "train__duration": "6ep",
        "train__milestones": ("4ep",),
        "sparse__method": "rigl",
        "sparse__density": 0.2,
        "sparse__every": "2it",
        "sparse__prune_until": "2ep",
        "superpose__share": 0.5,
        "superpose__cycle": "4it",  # epochs, masks and cycles end at different steps
        "superpose__low": 0.01,
        "superpose__high": 0.05,
        "superpose__first": "phase",
        "superpose__base": False,
        "save_every": "2it",
    }
    return job_of(tiny_config(), **changes)


@pytest.fixture(scope="module")
def whole_arms(sparse_job, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("arms")
    found = arms(sparse_job)
    train_arms(with_settings(sparse_job, save_every="1000it"), workdir, 0, found)
    return workdir, found


@pytest.mark.slow
@pytest.mark.parametrize("how", ["killed", "terminated"])
@pytest.mark.parametrize("at", [[4], [10], [12], [14, 15], [17], [5, 11, 16, 17]])
def test_an_arm_cut_off_anywhere_ends_with_the_same_bytes(at, how, sparse_job, whole_arms, tmp_path):
    whole, found = whole_arms
    assert found[0].phases == (10, 4, 2)
    for step in at:
        with stopped(step, how):
            train_arms(sparse_job, tmp_path, 0, found)
    train_arms(sparse_job, tmp_path, 0, found)
    assert_same_run(tmp_path, whole)


@pytest.mark.slow
def test_a_ticket_deleted_amid_an_arm_is_made_again(sparse_job, whole_arms, tmp_path):
    whole, found = whole_arms
    with stopped(17, "terminated"):
        train_arms(sparse_job, tmp_path, 0, found)
    store.remove(paths.ticket(paths.level(tmp_path, 0, 1)))
    train_arms(sparse_job, tmp_path, 0, found)
    assert_same_run(tmp_path, whole)


@pytest.mark.slow
def test_the_command_stopped_by_sigterm_amid_training_goes_on_and_ends_with_the_same_bytes(tmp_path):
    flags = {
        "validation": 64,
        "train_images": 80,
        "width": 4,
        "train.duration": "40ep",
        "train.batch_size": 32,
        "train.milestones": "('20ep',)",
        "imp.levels": 1,
        "imp.rewind": "4it",
        "pool.methods": "('uniform',)",
        "save_every": "50it",
    }
    command = [sys.executable, "-m", "lpjax.main", "--config=configs/digits_resnet8.py"]
    command += [f"--config.{name}={value}" for name, value in flags.items()]
    place = {"cwd": ROOT, "env": os.environ | {"XLA_FLAGS": ""}}
    whole, cut, said = tmp_path / "whole", tmp_path / "cut", tmp_path / "stderr"
    subprocess.run([*command, f"--workdir={whole}"], check=True, **place)
    with said.open("w") as stderr, subprocess.Popen([*command, f"--workdir={cut}"], stderr=stderr, **place) as child:
        while len(store.read_jsonl(paths.metrics(paths.level(cut, 0, 0)))) < 5:
            assert child.poll() is None, said.read_text()
            time.sleep(0.01)
        child.send_signal(signal.SIGTERM)
    assert child.returncode == 143
    assert said.read_text().splitlines()[-1].startswith("lpjax: stopped by SIGTERM; the same command goes on")
    assert "Traceback" not in said.read_text()
    assert store.exists(paths.progress(paths.level(cut, 0, 0)))
    subprocess.run([*command, f"--workdir={cut}"], check=True, **place)
    assert_same_run(cut, whole)
