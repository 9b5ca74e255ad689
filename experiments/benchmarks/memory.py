"""What a run holds in memory: on the host while it runs, on the device by program.

A run of full-width networks is made short by its few images, which are drawn at random: all levels are trained, and
pools tried, in a process of its own for every number of levels given. Peaks are of the resident set, as Linux counts
it; on CPUs it holds the arrays of the device too. If the host held all tickets, the peak would grow by a ticket a
level. The second table is XLA's own account of its programs at the size of CIFAR, for batches of 128 and evaluation in
batches of 500; nothing of it is run.

Command: python -m experiments.benchmarks.memory --levels 5 19
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from experiments.benchmarks.inputs import machine, parser, prepare_images
from lpjax import data, models, pools, sparsity, store, train
from lpjax.run import default_config
from lpjax.run.config import resolve
from lpjax.run.plan import plan
from lpjax.run.setup import prepare
from lpjax.run.stage import run_stage
from lpjax.types import Batch, Ticket

MB = 1e6
SHAPE = (32, 32, 3)
COLUMNS = ("levels", "a ticket", "all tickets", "loaded", "training", "pools", "evaluation", "peak", "device peak")


def main(argv: list[str]) -> None:
    """Print one row per number of levels, and one per program."""
    arguments = parser(__doc__)
    arguments.add_argument("--levels", type=int, nargs="*", default=[5, 19])
    arguments.add_argument("--model", default="resnet18", choices=models.NAMES)
    arguments.add_argument("--images", type=int, default=32, help="to train on; half as many to validate on and test")
    arguments.add_argument("--chunks", type=int, nargs="*", default=[1, 11], help="candidates held at once")
    arguments.add_argument("--run", type=int, help=argparse.SUPPRESS)
    arguments.add_argument("--data_dir", default="", help=argparse.SUPPRESS)
    options = arguments.parse_args(argv)
    if options.run:
        print(json.dumps(short_run(options)))
        return
    print(f"{options.model}, {machine()}, MB")
    print(" ".join(f"{column:>11}" for column in COLUMNS))
    with tempfile.TemporaryDirectory() as home:
        rng = np.random.default_rng(0)
        half = options.images // 2  # follow to validate on, and half as many to test
        counts = {"train": options.images + half, "test": half}
        prepare_images(home, counts, lambda: Image.fromarray(rng.integers(0, 256, SHAPE, np.uint8)), "png")
        command = [sys.executable, "-m", "experiments.benchmarks.memory", f"--data_dir={home}"]
        command += [f"--model={options.model}", f"--images={options.images}"]
        for levels in options.levels:
            done = subprocess.run([*command, f"--run={levels}"], check=True, capture_output=True, text=True)
            seen = json.loads(done.stdout.splitlines()[-1])
            print(f"{levels:11d}", *(f"{seen[column] / MB:11.1f}" for column in COLUMNS[1:]), flush=True)
    print(f"{'program':>16} {'arguments':>11} {'temporaries':>11} {'results':>11} {'in place':>11}")
    for name, lowered in programs(options):
        of = lowered.compile().memory_analysis()
        sizes = (of.argument_size_in_bytes, of.temp_size_in_bytes, of.output_size_in_bytes, of.alias_size_in_bytes)
        print(f"{name:>16}", *(f"{size / MB:11.1f}" for size in sizes), flush=True)


def short_run(options: argparse.Namespace) -> dict[str, float]:
    """Find tickets, pool and measure them, two steps a level: bytes of memory by column."""
    config = default_config()
    config.dataset, config.data_dir, config.model = "random", options.data_dir, options.model
    config.validation, config.eval_batch_size = options.images // 2, options.images // 2
    config.train.batch_size, config.train.duration, config.train.milestones = options.images // 2, "1ep", ()
    config.imp.levels, config.imp.rewind, config.imp.prune_fraction = options.run, "1it", 0.2
    config.pool.methods, config.pool.candidates, config.pool.coefficients = ("interpolation",), 2, (0.25, 0.75)
    config.pool.recalibrate = str(options.images // 2)
    seen: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as directory:
        workdir = Path(directory)
        with _peak(seen, "loaded"):
            setup = prepare(resolve(config))
        stages = plan(setup.config, workdir, setup.steps)
        for name, stage in zip(("training", "pools", "evaluation"), stages, strict=True):
            with _peak(seen, name):
                run_stage(setup, stage)
        ticket = store.restore_ticket(next(workdir.rglob("level_00/ticket")), setup.network.like)
    seen["peak"] = max(seen.values())
    seen["a ticket"] = sum(leaf.nbytes for leaf in jax.tree.leaves(ticket))
    seen["all tickets"] = options.run * seen["a ticket"]
    seen["device peak"] = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", float("nan"))
    return seen


@contextmanager
def _peak(seen: dict[str, float], stage: str) -> Iterator[None]:
    """Note the largest resident set of a stage, which Linux keeps since its mark was cleared."""
    Path("/proc/self/clear_refs").write_text("5")
    yield
    largest = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    seen[stage] = 1024 * int(largest[1])


def programs(options: argparse.Namespace) -> Iterator[tuple[str, Any]]:
    """Lower the programs of a CIFAR run, of shapes alone."""
    module = models.build(options.model, classes=10)
    apply, key = models.bind(module), jax.eval_shape(lambda: jax.random.key(0))
    variables = jax.eval_shape(lambda key: models.initialize(module, key, SHAPE), key)
    mask = jax.eval_shape(lambda: sparsity.full_mask(variables))
    preprocess = data.preprocessor((0.5,) * 3, (0.25,) * 3)
    augment = data.augmenter((0.5,) * 3, (0.25,) * 3)
    optimizer = train.sgd(lambda step: 0.1, 0.9, 1e-4)
    step = train.train_step(apply, optimizer, augment, axis_name=train.AXIS)
    state = jax.eval_shape(lambda variables: train.initial_state(variables, optimizer), variables)
    rows = jax.ShapeDtypeStruct((1, 128), jnp.int32)
    alone = train.mesh_of(jax.devices()[:1])
    yield "training step", train.data_parallel(step, alone).lower(state, _split(45_000), rows, key)
    evaluate = train.evaluator(apply, preprocess, _split(5_000), 500)
    yield "evaluation", jax.jit(lambda evaluate, variables: evaluate(variables)).lower(evaluate, variables)
    recalibrate = train.recalibrator(apply, augment, _split(45_000), images=4096, batch_size=128)

    def start(ticket: Ticket, key: jax.Array) -> pools.PoolState:
        return pools.pool(lambda variables: jnp.zeros(())).init(ticket, key)

    anchor = jax.eval_shape(start, Ticket(variables, mask), key)
    for chunk in options.chunks:

        def search(evaluate: Any, recalibrate: Any, anchor: Any, candidate: Any, chunk: int = chunk) -> Any:
            return pools.pool(evaluate, recalibrate, chunk=chunk).step(anchor, candidate)

        yield f"pool step, {chunk:2d}", jax.jit(search).lower(evaluate, recalibrate, anchor, variables)


def _split(images: int) -> Batch:
    return Batch(jax.ShapeDtypeStruct((images, *SHAPE), jnp.uint8), jax.ShapeDtypeStruct((images,), jnp.int32))


if __name__ == "__main__":
    main(sys.argv[1:])
