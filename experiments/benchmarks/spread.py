"""What devices share in the pool search: the grid of mixes, the images of one after another, or nothing.

`whole`: every device computes everything, as if it were alone. `images`: mixes come one after another, each batch
spread over the devices. `grid`: each device computes mixes of its own. A step of the search (one candidate at
eleven coefficients) is timed all three ways in turn, and the work of one device is counted in the compiled program:
FLOPs of convolutions, all-reduces and all-gathers with their bytes, loops counted as often as they run.

Simulated devices share the cores of this machine: times show the work of all devices together, so a way that shares
everything is `n` times faster than `whole`, and one device would take the time of `whole` over `n`. Times on GPUs are
not measured yet.

Command: python -m experiments.benchmarks.spread --devices 2 8
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from experiments.benchmarks.hlo import work
from experiments.benchmarks.timing import medians
from lpjax import models, pools, sparsity, train
from lpjax.types import Batch, Ticket, Variables

WAYS = ("whole", "images", "grid")


def main(argv: list[str]) -> None:
    """Prints one row a way and number of devices.

    Args:
      argv: Command-line arguments.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, nargs="+", default=[2, 8], help="simulated, where there are none")
    parser.add_argument("--model", default="resnet8", choices=models.NAMES)
    parser.add_argument("--side", type=int, default=16, help="image height and width")
    parser.add_argument("--images", type=int, default=256, help="images to recalibrate on, and to validate on")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(argv)
    jax.config.update("jax_num_cpu_devices", max(options.devices))

    print(
        f"{options.model}, {options.images} images of {options.side}x{options.side}, batches of {options.batch}, ",
        end="",
    )
    print(f"{len(pools.INTERPOLATION)} mixes, {jax.devices()[0].device_kind}, jax {jax.__version__}")
    columns = ("devices", "way", "seconds", "of whole", "MFLOP", "of whole", "all-reduces", "kB", "all-gathers", "kB")
    print(" ".join(f"{column:>11}" for column in columns))
    for devices in options.devices:
        steps = {way: search(options, devices, way) for way in WAYS}
        seconds = medians({way: partial(step, *args) for way, (step, args) in steps.items()}, options.rounds)
        counted = {way: work(step.lower(*args).compile().as_text()) for way, (step, args) in steps.items()}
        for way, (flops, *passed) in counted.items():
            cells = [f"{seconds[way]:11.3f}", f"{seconds[way] / seconds['whole']:11.2f}"]
            cells += [f"{flops / 1e6:11.1f}", f"{flops / counted['whole'].flops:11.3f}"]
            cells += [f"{part / unit:11.1f}" for part, unit in zip(passed, (1, 1e3, 1, 1e3), strict=True)]
            print(f"{devices:11d} {way:>11}", *cells)


def search(options: argparse.Namespace, devices: int, way: str) -> tuple[Any, tuple[Any, ...]]:
    """Makes a step of the search ready.

    Args:
      options: The command line's.
      devices: How many share.
      way: One of `WAYS`.

    Returns:
      The step, jitted, and its arguments.
    """
    mesh = train.mesh_of(jax.devices()[:devices])
    shape = (options.side, options.side, 3)
    module = models.build(options.model, classes=10)
    keys = jax.random.split(jax.random.key(0), 4)
    images = jax.random.randint(keys[0], (options.images, *shape), 0, 256).astype(jnp.uint8)
    batch = train.replicate(Batch(images, jax.random.randint(keys[1], (options.images,), 0, 10)), mesh)
    on = mesh if way == "images" else None
    measures = (
        train.evaluator(models.bind(module), _preprocess, batch, options.batch, on),
        train.recalibrator(
            models.bind(module), _augment, batch, images=options.images, batch_size=options.batch, mesh=on
        ),
    )
    choices: dict[str, Callable[..., Any]] = {"map_fn": train.shard_candidates(mesh)} if way == "grid" else {}
    anchor, candidate = (models.initialize(module, key, shape) for key in keys[2:])
    dense = sparsity.full_mask(anchor)
    mask = sparsity.select(sparsity.magnitude(anchor), dense, sparsity.total(dense) // 5)
    ticket = Ticket(sparsity.apply_mask(anchor, mask), mask)
    state = train.replicate(pools.pool(*measures, **choices).init(ticket, keys[0]), mesh)

    def step(measures: tuple[Any, Any], state: pools.PoolState, candidate: Variables) -> jax.Array:
        return pools.pool(*measures, **choices).step(state, candidate)[1].values

    return jax.jit(step), (measures, state, train.replicate(candidate, mesh))


def _preprocess(images: jax.Array) -> jax.Array:
    return images.astype(jnp.float32) / 255


def _augment(keys: jax.Array, images: jax.Array) -> jax.Array:
    del keys
    return _preprocess(images)


if __name__ == "__main__":
    main(sys.argv[1:])
