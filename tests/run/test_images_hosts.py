"""Two processes of two devices each stream: every image is read once, where one process of four has it."""

import hashlib
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.sharding import Mesh
from PIL import Image

from lpjax import data, run, train
from lpjax.run.images import load_data
from lpjax.run.setup import masked_sgd, prepare

ROOT = Path(__file__).parents[2]
KEY = 5
SCRIPT = """
import json, sys
import jax
jax.distributed.initialize(sys.argv[1], 2, int(sys.argv[2]))
from tests.run.test_images_hosts import held, losses
print("SAW " + json.dumps([held(sys.argv[3]), losses(sys.argv[3])]))
"""


def config_of(home):
    """Batches of 16, 16 and 13, which four devices do not divide and every process reads whole."""
    config = run.default_config()
    config.dataset, config.data_dir, config.validation, config.train_images = "pictures", str(home), 8, 45
    config.stream.size, config.stream.resize = 16, 18
    config.model, config.width, config.pool.recalibrate = "tests.networks:tiny", 8, "16"
    config.train.batch_size, config.train.duration, config.train.milestones = 16, "2ep", ("1ep",)
    config.imp.rewind = "1it"
    return run.resolve(config)


def held(home):
    """What lies on each device of this process, batch by batch: where it begins, and a digest of the pixels."""
    feed = load_data(config_of(home), train.mesh_of()).feed
    rows = np.random.default_rng(0).permutation(45).astype(np.int32)
    return [
        sorted(
            [shard.index[0].start or 0, hashlib.sha256(np.asarray(shard.data).tobytes()).hexdigest()]
            for shard in batch.images.addressable_shards
        )
        for batch, _ in feed(rows, jax.random.key(KEY))
    ]


def losses(home):
    """Images, loss and accuracy of six steps."""
    setup = prepare(config_of(home))
    optimizer = masked_sgd(setup, setup.network.mask)
    events = train.fit(
        setup.training_step("imp", optimizer),
        train.initial_state(setup.network.initialize(jax.random.key(0)), optimizer),
        setup.data.feed,
        jax.random.key(KEY),
        images=setup.data.size,
        batch_size=setup.config.train.batch_size,
        stop=2 * setup.steps_per_epoch,
    )
    return np.concatenate([event.metrics for event in events]).tolist()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder, home = tmp_path_factory.mktemp("pictures"), tmp_path_factory.mktemp("tfds")
    draw = np.random.default_rng(0)
    for split, count in (("train", 53), ("test", 4)):
        for number in range(count):
            (folder / split / f"class{number % 4}").mkdir(parents=True, exist_ok=True)
            pixels = draw.integers(0, 256, (20 + number % 9, 24, 3), np.uint8)
            Image.fromarray(pixels).save(folder / split / f"class{number % 4}" / f"{number}.png")
    data.prepare_folder("pictures", folder, home, any_size=True)
    return home


@pytest.mark.slow
def test_two_processes_read_the_images_of_one_and_come_to_its_losses(home, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    flags = os.environ["XLA_FLAGS"].replace("device_count=8", "device_count=2")
    setting = {**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": str(ROOT)}
    commands = [[sys.executable, "-c", SCRIPT, address, str(process), home] for process in range(2)]
    running = [subprocess.Popen(command, env=setting, stdout=-1, stderr=-1, text=True) for command in commands]
    outcomes = [process.communicate(timeout=600) for process in running]
    assert [process.returncode for process in running] == [0, 0], outcomes
    said = [next(line for line in out.splitlines() if line.startswith("SAW ")) for out, _ in outcomes]
    (first, seen), (second, seen_too) = (json.loads(line.removeprefix("SAW ")) for line in said)

    four = Mesh(np.array(jax.devices()[:4]), (train.AXIS,))
    monkeypatch.setattr(train, "mesh_of", lambda: four)
    assert [sorted(a + b) for a, b in zip(first, second, strict=True)] == held(home)
    assert [len({start for start, _ in batch}) for batch in first] == [2, 2, 1]
    assert not {start for start, _ in first[0]} & {start for start, _ in second[0]}
    assert seen == seen_too
    np.testing.assert_allclose(seen, losses(home), rtol=1e-3, atol=1e-3)
