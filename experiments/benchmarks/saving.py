"""What saving the progress of training costs: for how long it stops the steps, and what steps take while it writes.

Blocks of steps with a save at their start and blocks without take turns in one run. A save holds what the dense level
of iterative pruning carries: the state, the best weights so far and the rewind point.

Command: python -m experiments.benchmarks.saving
"""

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

from experiments.benchmarks.inputs import machine, parser, random_batch, to_unit
from lpjax import models, sparsity, store, train
from lpjax.run import default_config
from lpjax.run.imp import LevelTraining
from lpjax.run.training import NO_METRICS
from lpjax.transforms import fixed_mask

STEP, BESIDE = "a step without a save", "a step while a save is written"
STOP, WHOLE = "a save stops the steps", "a save takes until it lies whole on disk"


def main(argv: list[str]) -> None:
    """Print a small table."""
    arguments = parser(__doc__)
    arguments.add_argument("--model", default="resnet18", choices=models.NAMES)
    arguments.add_argument("--batch", type=int, default=32, help="images a step")
    arguments.add_argument("--rounds", type=int, default=7, help="blocks of either kind")
    arguments.add_argument("--steps", type=int, default=3, help="in a block")
    options = arguments.parse_args(argv)

    module = models.build(options.model, classes=10)
    key = jax.random.key(0)
    variables = models.initialize(module, key, (32, 32, 3))
    optimizer = fixed_mask(train.sgd(lambda step: jnp.float32(0.01)), sparsity.full_mask(variables.params))
    single = train.train_step(models.bind(module), optimizer, to_unit)
    data, rows = random_batch(options.batch, 32), jnp.arange(options.batch)
    step = jax.jit(lambda state: single(state, data, rows, key)[0], donate_argnums=0)
    weights = sum(leaf.size for leaf in jax.tree.leaves(variables.params))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "progress"
        times = measure(train.initial_state(variables, optimizer), step, place, options.rounds, options.steps)
        size = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
    print(
        f"{options.model}, {weights:,} parameters, batch {options.batch}, {size / 2**20:.0f} MiB a save, "
        f"on {machine()}, {os.cpu_count()} cores"
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


def measure(
    state: train.TrainState, step: Callable[[train.TrainState], train.TrainState], place: Path, rounds: int, steps: int
) -> dict[str, list[float]]:
    """Time steps and saves in turn, in blocks with a save and blocks without: seconds, by what was timed."""
    kept = jax.tree.map(jnp.copy, state.variables)
    times: dict[str, list[float]] = {STEP: [], BESIDE: [], STOP: [], WHOLE: []}

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
        if number == 0:  # one of each to compile
            for seconds in times.values():
                seconds.clear()
    return times


if __name__ == "__main__":
    main(sys.argv[1:])
