"""What reading images while training costs: images a second, and how long a step waits for them.

Writes JPEG files of 500x375 pixels (quality 90) to a temporary TFDS directory and crops them to 224x224 as ImageNet is
trained on, in threads and in processes; then trains ResNet-18 on them and tells the time in which nothing but the next
batch was waited for. The decoders share the cores with the step: beside a GPU, they would not.

Command: python -m experiments.benchmarks.loader --images=256 --batch=32 --width=16
"""

import argparse
import os
import sys
import tempfile
import time

import jax
import numpy as np
from PIL import Image

from experiments.benchmarks.inputs import parser, prepare_images
from lpjax import data, models, train
from lpjax.data import stream
from lpjax.run.images import stream as stream_images

CROP = data.Crop(224, 256, (0.1, 1.0), (0.8, 1.25))
KEY = jax.random.key(0)
READERS = {"1 thread": (1, 0), "2 threads": (2, 0), "1 process": (1, 1), "2 processes": (1, 2)}


def main(argv: list[str]) -> None:
    """Print one row per way of reading, without and with training."""
    arguments = parser(__doc__)
    arguments.add_argument("--images", type=int, default=256)
    arguments.add_argument("--batch", type=int, default=32)
    arguments.add_argument("--rounds", type=int, default=6, help="how often every image is read; trained on twice")
    arguments.add_argument("--width", type=int, default=16, help="channels of ResNet-18's first stage; its own are 64")
    options = arguments.parse_args(argv)

    print(f"{options.images} JPEG files of 500x375 to 224x224, batches of {options.batch}; {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as home:
        photos = photographs(home, options.images)
        step, state = network(options.width)
        print(f"{'':>12} {'images/s':>9} {'first batch s':>14} {'step s':>8} {'waiting s':>10} {'share':>6}")
        for name, (stream.THREADS, workers) in READERS.items():
            first, rate = reading(photos, options, workers)
            state, computing, waiting = training(photos, options, workers, step, state)
            share = waiting / (waiting + computing)
            print(f"{name:>12} {rate:9.0f} {first:14.2f} {computing:8.3f} {waiting:10.3f} {share:6.2f}", flush=True)


def photographs(home: str, images: int) -> data.ImageSplit:
    """Prepare JPEG files of 500x375 pixels, and return the training split."""
    rng = np.random.default_rng(0)

    def draw() -> Image.Image:
        coarse = Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).resize((500, 375))
        pixels = np.asarray(coarse) + rng.normal(0, 12, (375, 500, 3))
        return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))

    prepare_images(home, {"train": images, "test": 2}, draw, "jpg", any_size=True)
    return data.open_image_splits("random", home)[0]


def network(width: int) -> tuple[train.Step, train.TrainState]:
    """Build the training step of a ResNet-18 for images of 224x224, and where it starts."""
    module = models.build("imagenet_resnet18", classes=10, width=width)
    variables = models.initialize(module, KEY, (224, 224, 3))
    optimizer = train.sgd(train.learning_rate("constant", 0.01, 1000))
    augment = data.augmenter(*data.PUBLISHED["imagenet2012"], crop=0)
    step = train.train_step(models.bind(module), optimizer, augment, axis_name=train.AXIS, take=train.identity_batch)
    return train.data_parallel(step, train.mesh_of(), replicated_data=False), train.initial_state(variables, optimizer)


def reading(photos: data.ImageSplit, options: argparse.Namespace, workers: int) -> tuple[float, float]:
    """Read without doing anything else: seconds to the first batch, images a second from there on."""
    rows = np.tile(np.arange(photos.size), options.rounds)
    batches = [rows[i : i + options.batch] for i in range(0, len(rows), options.batch)]
    start = time.perf_counter()
    ready = data.read_ahead(data.ImageLoader(photos, CROP, (0,)), batches, workers=workers)
    next(ready)
    first = time.perf_counter()
    images = sum(len(batch.labels) for batch in ready)
    return first - start, images / (time.perf_counter() - first)


def training(
    photos: data.ImageSplit, options: argparse.Namespace, workers: int, step: train.Step, state: train.TrainState
) -> tuple[train.TrainState, float, float]:
    """Train, and return the state and the mean seconds that a step computes and waits; the first is not counted."""
    rows = np.tile(np.arange(photos.size, dtype=np.int32), 2)
    feed = stream_images(photos, CROP, train.mesh_of(), options.batch, workers=workers)(rows, KEY)
    computing, waiting = [], []
    asked = time.perf_counter()
    for batch, indices in feed:
        came = time.perf_counter()
        state, metrics = step(state, batch, indices, KEY)
        jax.block_until_ready(metrics)
        waiting.append(came - asked)
        asked = time.perf_counter()
        computing.append(asked - came)
    return state, float(np.mean(computing[1:])), float(np.mean(waiting[1:]))


if __name__ == "__main__":
    main(sys.argv[1:])
