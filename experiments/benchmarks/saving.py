"""What saving the progress of training costs: for how long it stops the steps, and what steps take while it writes.

Blocks of steps with a save at their start and blocks without take turns in one run. A save holds what the dense level
of iterative pruning carries: the state, the best weights so far and the rewind point.

Measured with --rounds=5 --steps=2 --batch=8 on two cores that nine other processes wanted too (jax 0.10.2): 158 MiB of
ResNet-18 (11,173,962 parameters) stop the steps for 0.212 s and lie whole on the disk after 3.5 s, while a step takes
1.201 s instead of 0.929 s. So saving every 1000 steps stops 0.023 % of the time, and slows it by 0.11 %. Were the copy
no faster elsewhere, it would stop 0.21 % of the time with steps of 0.1 s, and 2.1 % with steps of 0.01 s.

Command: python -m experiments.benchmarks.saving
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import jax
import jax.numpy as jnp

from lpjax import models, sparsity, store, train
from lpjax.run import default_config
from lpjax.run.imp import LevelTraining
from lpjax.run.training import NO_METRICS
from lpjax.transforms import fixed_mask
from lpjax.types import Batch

STEP, BESIDE, STOP, WHOLE = (
    "a step without a save",
    "a step while a save is written",
    "a save stops the steps",
    "a save takes until it lies whole on disk",
)
Times = dict[str, list[float]]


def main(argv: list[str]) -> None:
    """Prints a small table.

    Args:
      argv: Command-line arguments.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet18", choices=models.NAMES)
    parser.add_argument("--batch", type=int, default=32, help="images a step")
    parser.add_argument("--rounds", type=int, default=7, help="blocks of either kind")
    parser.add_argument("--steps", type=int, default=3, help="in a block")
    options = parser.parse_args(argv)

    state, step = training(options.model, options.batch)
    weights = sum(leaf.size for leaf in jax.tree.leaves(state.variables.params))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "progress"
        times = measured(state, step, place, options.rounds, options.steps)
        size = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
    print(
        f"{options.model}, {weights:,} parameters, batch {options.batch}, {size / 2**20:.0f} MiB a save, "
        f"on {jax.devices()[0].device_kind} with {os.cpu_count()} cores, jax {jax.__version__}"
    )
    median = {name: statistics.median(values) for name, values in times.items()}
    for name, values in times.items():
        print(f"{name:>42} {median[name]:7.3f} s   ({min(values):.3f} to {max(values):.3f}, {len(values)} times)")
    every = train.steps(default_config().save_every, 1)
    print(f"share of {every} steps that a save stops: {median[STOP] / (every * median[STEP]):.3%}")
    slowed = (median[BESIDE] / median[STEP] - 1) * median[WHOLE]
    print(f"share of {every} steps by which it slows those beside it: {slowed / (every * median[STEP]):+.3%}")
    for faster in (0.1, 0.01):
        print(f"with steps of {faster} s, and copies as slow as here: {median[STOP] / (every * faster):.3%}")


def training(model: str, batch: int) -> tuple[train.TrainState, Callable[[train.TrainState], train.TrainState]]:
    """Makes a network ready to train.

    Args:
      model: Its name.
      batch: Images a step.

    Returns:
      The initial state, and a step that donates it.
    """
    module, keys = models.build(model, classes=10), jax.random.split(jax.random.key(0), 3)
    variables = models.initialize(module, keys[0], (32, 32, 3))
    images = jax.random.randint(keys[1], (batch, 32, 32, 3), 0, 256).astype(jnp.uint8)
    data = Batch(images, jax.random.randint(keys[2], (batch,), 0, 10))
    optimizer = fixed_mask(train.sgd(lambda step: jnp.float32(0.01)), sparsity.full_mask(variables.params))
    single = train.train_step(models.bind(module), optimizer, lambda keys, images: images / jnp.float32(255))
    compiled = jax.jit(lambda state: single(state, data, jnp.arange(batch), keys[2])[0], donate_argnums=0)
    return train.initial_state(variables, optimizer), compiled


def measured(
    state: train.TrainState, step: Callable[[train.TrainState], train.TrainState], place: Path, rounds: int, steps: int
) -> Times:
    """Times steps and saves in turn, after one of each.

    Args:
      state: Where to start.
      step: Trains by one.
      place: Where progress goes.
      rounds: Blocks with a save, and without.
      steps: In a block.

    Returns:
      Seconds, by what was timed.
    """
    kept = jax.tree.map(jnp.copy, state.variables)
    times: Times = {STEP: [], BESIDE: [], STOP: [], WHOLE: []}

    def save() -> Future[None]:
        start = time.perf_counter()
        writing = store.save_progress(place, **LevelTraining(state, NO_METRICS, 0, kept, 0.0, kept)._asdict())
        times[STOP].append(time.perf_counter() - start)
        writing.add_done_callback(lambda done: times[WHOLE].append(time.perf_counter() - start))
        return writing

    for number in range(rounds + 1):
        for saving in (False, True):
            state = jax.block_until_ready(step(state))
            writing = save() if saving else None
            for _ in range(steps):
                alone = writing is None or writing.done()
                start = time.perf_counter()
                state = jax.block_until_ready(step(state))
                times[STEP if alone else BESIDE].append(time.perf_counter() - start)
            if writing is not None:
                writing.result()
        if number == 0:
            for seconds in times.values():
                seconds.clear()
    return times


if __name__ == "__main__":
    main(sys.argv[1:])
