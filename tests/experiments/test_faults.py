"""Runs that are killed, or find their disk full, leave what undisturbed ones do; and what differs is seen."""

import json
import os
import signal
import time

import numpy as np
import pytest

from experiments.faults import full_disk, kill
from experiments.faults.compare import differences, tickets
from experiments.faults.starts import finish, start
from lpjax import store
from lpjax.store import paths

TINY = (
    f"--config={kill.ROOT}/configs/digits_resnet8.py",
    "--config.train_images=100",
    "--config.validation=100",
    "--config.model=tests.networks:one_convolution",
    "--config.width=8",
    "--config.save_every=3it",
    "--config.train.duration=10ep",
    "--config.train.milestones=('5ep',)",
    "--config.imp.levels=2",
    "--config.imp.rewind=3it",
    "--config.pool.methods=('recalibrated',)",
)


@pytest.fixture
def two(tmp_path):
    """Two work directories that hold the same, but for how long it took."""
    for number in (1, 2):
        level = paths.level(tmp_path / str(number), 0, 0)
        store.save(paths.ticket(level), params={"w": np.arange(4.0)})
        store.write_json(paths.summary(level), {"level": 0, "seconds": number})
        store.append_jsonl(paths.metrics(level), {"epoch": 1})
        store.write_json(paths.environment(tmp_path / str(number)), {"commit": number})
        log = paths.log(tmp_path / str(number), 0)
        log.parent.mkdir()
        log.write_text(f"start {number}")
    return tmp_path / "1", tmp_path / "2"


def test_seconds_and_what_tells_of_a_start_are_no_difference(two):
    assert differences(*two) == []
    assert tickets(two[0]) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda level: store.save(level / "ticket", params={"w": np.arange(4.0) + 1}), "ticket: other values"),
        (lambda level: next((level / "ticket" / "d").iterdir()).write_bytes(b""), "damaged ticket"),
        (lambda level: store.append_jsonl(level / "metrics.jsonl", {"epoch": 2}), "metrics.jsonl: other values"),
        (lambda level: store.write_json(level / "summary.json", {"level": 1}), "summary.json: other values"),
        (lambda level: (level / "metrics.jsonl").unlink(), "metrics.jsonl: there | absent"),
        (lambda level: (level / ".summary.json.new").write_text("{"), ".summary.json.new: absent | there"),
    ],
)
def test_whatever_else_differs_is_named(change, said, two):
    change(paths.level(two[1], 0, 0))
    (difference,) = differences(*two)
    assert said in difference
    assert difference.startswith("seed_0/level_00/")


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """The work directory of a run that nothing disturbed."""
    return kill.undisturbed(TINY, tmp_path_factory.mktemp("calm"))


@pytest.mark.slow
def test_a_run_killed_at_random_moments_leaves_the_same_bits(calm, tmp_path):
    outcome = kill.kill_until_done(TINY, calm, tmp_path, kills=8, seed=3)
    assert outcome.killed
    assert outcome.stopped
    assert outcome.killed + outcome.stopped >= 8
    assert outcome.starts == outcome.killed + outcome.stopped + outcome.runs
    assert outcome.different == ()


@pytest.mark.slow
def test_a_run_stopped_by_sigterm_amid_training_saves_says_so_in_one_line_and_is_resumed_to_the_same_bits(
    calm, tmp_path
):
    workdir, log = tmp_path / "run", tmp_path / "stopped.log"
    level = paths.level(workdir, 0, 0)
    command = [*TINY, f"--workdir={workdir}"]
    process = start(command, log)
    while len(store.read_jsonl(paths.metrics(level))) < 2:
        assert process.is_alive(), log.read_text()
        time.sleep(0.001)
    process.terminate()
    process.join()
    assert process.exitcode == 143
    (line,) = log.read_text().splitlines()
    assert line.startswith("lpjax: stopped by SIGTERM")
    assert store.exists(paths.progress(level))
    assert finish(command, log) == 0
    assert differences(calm, workdir) == []


@pytest.mark.slow
def test_a_run_whose_disk_is_full_again_and_again_leaves_the_same_bits(calm, tmp_path):
    workdir = tmp_path / "limited"
    stops = full_disk.fill(TINY, workdir, tmp_path, finish, full_disk.growing(2048, 3.0, 3))
    assert len({stop.unwritten for stop in stops}) > 1
    assert differences(calm, workdir) == []


@pytest.mark.slow
def test_one_of_two_runs_on_a_work_directory_is_refused_and_once_the_other_is_killed_it_goes_on(calm, tmp_path):
    workdir, log = tmp_path / "run", tmp_path / "second.log"
    command = [*TINY, f"--workdir={workdir}"]
    first = start(command, tmp_path / "first.log")
    while not (paths.lock(workdir).exists() and paths.lock(workdir).read_text()):
        time.sleep(0.001)
    first_pid = json.loads(paths.lock(workdir).read_text())["pid"]
    assert first_pid == first.pid
    # Stopped, so that it cannot end meanwhile; the lock is the kernel's, and holds.
    os.kill(first.pid, signal.SIGSTOP)
    assert finish(command, log) == 2
    (line,) = log.read_text().splitlines()
    assert f"is in use by process {first.pid}" in line
    first.kill()
    first.join()
    assert finish(command, log) == 0
    assert differences(calm, workdir) == []
