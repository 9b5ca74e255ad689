"""What sparse training costs on top of the plain optimizer: steps between changes, steps with one, the change alone.

Whole steps (forward, backward, optimizer) of every method are timed in turn with those of plain SGD with momentum; the
average weighs one step with a change against `every - 1` without. On a busy machine whole steps scatter more than the
transforms cost, so `update` is also timed alone: `by updates` adds to a plain step what `update` takes beyond the plain
optimizer's, on the same average. A change is the difference of `update` with and without one; its share of an epoch
takes 50,000 images at the measured time of a plain step.

Command: python -m experiments.benchmarks.transforms --model=resnet20 --batch=128
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from experiments.benchmarks.inputs import machine, parser, random_batch, to_unit
from experiments.benchmarks.timing import medians
from lpjax import models, sparsity, train
from lpjax.transforms import METHODS, DynamicSparseState

Calls = dict[str, Callable[[], Any]]
IMAGES = 50_000
COLUMNS = (
    "method",
    "plain s",
    "between s",
    "at change s",
    "average",
    "update ms",
    "by updates",
    "change ms",
    "of epoch",
)


def main(argv: list[str]) -> None:
    """Print one row per method."""
    arguments = parser(__doc__)
    arguments.add_argument("--model", default="resnet20", choices=models.NAMES)
    arguments.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    arguments.add_argument("--batch", type=int, default=128)
    arguments.add_argument("--every", type=int, default=1000, help="steps between changes")
    arguments.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    arguments.add_argument("--rounds", type=int, default=7)
    options = arguments.parse_args(argv)

    steps, updates, weights = calls(options)
    step, update = medians(steps, options.rounds), medians(updates, options.rounds)
    what = f"{options.model} {options.dtype}, {weights:,} weights"
    print(f"{what}, batches of {options.batch}, every {options.every}, {machine()}")
    print(" ".join(f"{column:>11}" for column in COLUMNS))
    print(f"the plain optimizer's update takes {1e3 * update['plain']:.2f} ms")

    def average(seconds: dict[str, float], name: str) -> float:
        return ((options.every - 1) * seconds[name] + seconds[name + "!"]) / options.every

    for name in options.methods:
        whole, change = average(step, name) / step["plain"], update[name + "!"] - update[name]
        by_updates = 1 + (average(update, name) - update["plain"]) / step["plain"]
        cells = [f"{seconds:11.4f}" for seconds in (step["plain"], step[name], step[name + "!"])]
        cells += [f"{whole:11.3f}", f"{1e3 * update[name]:11.2f}", f"{by_updates:11.4f}", f"{1e3 * change:11.1f}"]
        print(f"{name:>11}", *cells, f"{change / (step['plain'] * IMAGES / options.batch):11.3%}")


def calls(options: argparse.Namespace) -> tuple[Calls, Calls, int]:
    """Prepare whole steps, and the optimizer's `update` alone, by method; a `!` behind its name: with a change.

    Args:
      options: `model`, `dtype`, `batch` size, steps between changes, `every`, and `methods`.

    Returns:
      Steps and updates to call, of the plain optimizer too, and the number of weights.
    """
    module = models.build(options.model, classes=10, dtype=options.dtype)
    keys = jax.random.split(jax.random.key(0))
    variables = models.initialize(module, keys[0], (32, 32, 3))
    data = random_batch(options.batch, 32)
    rows, apply = jnp.arange(options.batch), models.bind(module)
    plain = train.sgd(optax.constant_schedule(0.1), weight_decay=5e-4)
    steps: Calls = {}
    updates: Calls = {}

    def prepare(name: str, tx: optax.GradientTransformation, step_counts: dict[str, int]) -> None:
        step, update = jax.jit(train.train_step(apply, tx, to_unit)), jax.jit(tx.update)
        for when, count in step_counts.items():
            start = at(train.initial_state(variables, tx), count)
            steps[name + when] = partial(step, start, data, rows, keys[1])
            updates[name + when] = partial(update, variables.params, start.opt_state, variables.params)

    prepare("plain", plain, {"": 0})
    for name in options.methods:
        # The mask changes after the step that makes the count a multiple of `every`; SNIP's count starts at -1.
        prepare(name, method(name, plain, options.every), {"": 0, "!": -1 if name == "snip" else options.every - 1})
    return steps, updates, sparsity.total(variables.params)


def method(name: str, plain: optax.GradientTransformation, every: int) -> optax.GradientTransformation:
    """Build a method around the plain optimizer, at density 0.1, or at the one that two of four give."""
    offered = {"every": every, "until": 10 * every, "end": every if name == "2:4" else 10 * every}
    choices = {choice: offered[choice] for choice in METHODS[name].choices if choice in offered}
    return METHODS[name].build(plain, 0.5 if name == "2:4" else 0.1, **choices)


def at(state: train.TrainState, count: int) -> train.TrainState:
    """Set the step count of a method; one without stays as it was."""
    if not isinstance(state.opt_state, DynamicSparseState):
        return state
    return state._replace(opt_state=state.opt_state._replace(step=jnp.int32(count)))


if __name__ == "__main__":
    main(sys.argv[1:])
