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

import jax
import jax.numpy as jnp
import optax

from experiments.benchmarks.timing import medians
from lpjax import models, sparsity, train
from lpjax.transforms import METHODS, DynamicSparseState
from lpjax.types import Batch

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
Calls = dict[str, Callable[[], object]]


def main(argv: list[str]) -> None:
    """Prints one row a method.

    Args:
      argv: Command-line arguments.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet20", choices=models.NAMES)
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--every", type=int, default=1000, help="steps between changes")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args(argv)

    module = models.build(options.model, classes=10, dtype=options.dtype)
    keys = jax.random.split(jax.random.key(0), 3)
    variables = models.initialize(module, keys[0], (32, 32, 3))
    images = jax.random.randint(keys[1], (options.batch, 32, 32, 3), 0, 256).astype(jnp.uint8)
    data = Batch(images, jax.random.randint(keys[2], (options.batch,), 0, 10))
    rows, apply = jnp.arange(options.batch), models.bind(module)
    plain = train.sgd(optax.constant_schedule(0.1), weight_decay=5e-4)
    steps: Calls = {}
    updates: Calls = {}

    def prepare(name: str, tx: optax.GradientTransformation, clocks: dict[str, int]) -> None:
        step, update = jax.jit(train.train_step(apply, tx, to_unit)), jax.jit(tx.update)
        for when, clock in clocks.items():
            start = at(train.initial_state(variables, tx), clock)
            steps[name + when] = partial(step, start, data, rows, keys[0])
            updates[name + when] = partial(update, variables.params, start.opt_state, variables.params)

    prepare("plain", plain, {"": 0})
    for name in options.methods:
        # The mask changes after the step that makes the clock a multiple of `every`; SNIP's clock starts at -1.
        prepare(name, method(name, plain, options.every), {"": 0, "!": -1 if name == "snip" else options.every - 1})

    step, update = medians(steps, options.rounds), medians(updates, options.rounds)
    weights = sparsity.total(variables.params)
    print(
        f"{options.model} {options.dtype}, {weights:,} weights, batches of {options.batch}, every {options.every}, ",
        end="",
    )
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}")
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


def method(name: str, plain: optax.GradientTransformation, every: int) -> optax.GradientTransformation:
    """Builds a method of the table around the plain optimizer.

    Args:
      name: One of `METHODS`.
      plain: The optimizer.
      every: Steps between changes.

    Returns:
      A transform at density 0.1, or at the one that two of four give.
    """
    offered = {"every": every, "until": 10 * every, "end": every if name == "2:4" else 10 * every}
    choices = {choice: offered[choice] for choice in METHODS[name].choices if choice in offered}
    return METHODS[name].build(plain, 0.5 if name == "2:4" else 0.1, **choices)


def at(state: train.TrainState, clock: int) -> train.TrainState:
    """Sets the clock of a method.

    Args:
      state: Of a training.
      clock: Steps done.

    Returns:
      The state; one without a method's clock as it was.
    """
    if not isinstance(state.opt_state, DynamicSparseState):
        return state
    return state._replace(opt_state=state.opt_state._replace(step=jnp.int32(clock)))


def to_unit(keys: jax.Array, images: jax.Array) -> jax.Array:
    """Scales images and augments nothing.

    Args:
      keys: Ignored.
      images: uint8.

    Returns:
      float32 in [0, 1].
    """
    del keys
    return images.astype(jnp.float32) / 255


if __name__ == "__main__":
    main(sys.argv[1:])
