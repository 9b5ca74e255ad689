"""Processes that decode: signals to the whole group leave them alone, and they end with the one that started them."""

import itertools
import multiprocessing
import os
import select
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from lpjax import data
from lpjax.data.workers import blocked_signals

SCRIPT = """
import signal, sys
import numpy as np
from lpjax import data

if __name__ == "__main__":
    heard = set()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: heard.add(number))
    training, _ = data.open_image_splits("few", sys.argv[1])
    load = data.ImageLoader(training, data.Crop(64, 72, (0.1, 1.0), (0.8, 1.25)), (3,))
    reading = data.read_ahead(load, [np.arange(8)] * 60, workers=2)
    print("starting", flush=True)
    next(reading)
    print("started", flush=True)
    sys.stdin.readline()
    print(sum(len(batch.labels) for batch in reading), sorted(heard))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Eight pictures of one color each."""
    folder, home = tmp_path_factory.mktemp("pictures"), tmp_path_factory.mktemp("tfds")
    for split, number in itertools.product(("train", "test"), range(8)):
        (folder / split / "one").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (90, 80), (20 * number, 90, 120)).save(folder / split / "one" / f"{number}.png")
    data.prepare_folder("few", folder, home, any_size=True)
    return home


@pytest.fixture
def reader(home, tmp_path):
    """A process, first of a group, that starts two others."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, script, home],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout.readline() == "starting\n"
    yield process
    process.kill()
    process.communicate(timeout=60)


def signal_all(process):
    for number in (signal.SIGTERM, signal.SIGINT):
        os.killpg(process.pid, number)


@pytest.mark.slow
def test_signals_to_the_whole_group_leave_processes_at_work_from_their_first_moment_on(reader):
    while not select.select([reader.stdout], [], [], 0.1)[0]:
        signal_all(reader)
    assert reader.stdout.readline() == "started\n"
    signal_all(reader)
    out, err = reader.communicate("go on\n", timeout=120)
    assert out == f"{59 * 8} {[int(signal.SIGINT), int(signal.SIGTERM)]}\n", err
    assert reader.returncode == 0


@pytest.mark.slow
def test_processes_end_when_the_one_that_started_them_is_killed(reader):
    assert reader.stdout.readline() == "started\n"
    reader.kill()
    reader.communicate(timeout=20)  # nobody holds its output any more


@pytest.mark.slow
def test_a_process_that_the_system_kills_is_one_line(home):
    load = data.ImageLoader(
        data.open_image_splits("few", str(home))[0], data.Crop(16, 18, (0.1, 1.0), (0.8, 1.25)), (3,)
    )
    reading = data.read_ahead(load, [np.arange(8)] * 60, workers=2)
    next(reading)
    os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
    with pytest.raises(data.DataError, match=r"exit code -9.*stream\.workers"):
        list(reading)
    assert not multiprocessing.active_children()


def test_a_thread_hears_again_what_it_heard_before():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with blocked_signals():
            assert {signal.SIGINT, signal.SIGTERM} <= signal.pthread_sigmask(signal.SIG_BLOCK, ())
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            assert heard == []
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
