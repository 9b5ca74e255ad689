"""What devices share in the pool search: the grid of mixes, the images of one after another, or nothing.

`whole`: every device computes everything, as if it were alone. `images`: mixes come one after another, each batch
spread over the devices. `grid`: each device computes mixes of its own. A step of the search (one candidate at eleven
coefficients) is timed all three ways in turn, and the work of one device is counted in the compiled program. Simulated
devices share the cores of this machine: times show the work of all devices together. `spread.md` has results.

Command: python -m experiments.benchmarks.spread --devices 2 8
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import jax

from experiments.benchmarks.hlo import work
from experiments.benchmarks.inputs import machine, parser, search_problem
from experiments.benchmarks.timing import medians
from lpjax import models, pools, train
from lpjax.types import Variables

WAYS = ("whole", "images", "grid")
COLUMNS = ("devices", "way", "seconds", "of whole", "MFLOP", "of whole", "all-reduces", "kB", "all-gathers", "kB")


def main(argv: list[str]) -> None:
    """Print one row per way and number of devices."""
    arguments = parser(__doc__)
    arguments.add_argument("--devices", type=int, nargs="+", default=[2, 8], help="simulated, where there are none")
    arguments.add_argument("--model", default="resnet8", choices=models.NAMES)
    arguments.add_argument("--side", type=int, default=16, help="image height and width")
    arguments.add_argument("--images", type=int, default=256, help="images to recalibrate on, and to validate on")
    arguments.add_argument("--batch", type=int, default=128)
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args(argv)
    jax.config.update("jax_num_cpu_devices", max(options.devices))

    sizes = f"{options.images} images of {options.side}x{options.side}, batches of {options.batch}"
    print(f"{options.model}, {sizes}, {len(pools.INTERPOLATION)} mixes, {machine()}")
    print(" ".join(f"{column:>11}" for column in COLUMNS))
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
    """Prepare a step of the search that devices share in one of `WAYS`: jitted, and its arguments."""
    mesh = train.mesh_of(jax.devices()[:devices])
    measures, ticket, candidate = search_problem(options, mesh=mesh if way == "images" else None)
    measures = train.replicate(measures, mesh)
    choices: dict[str, Callable[..., Any]] = {"map_fn": train.sharded_map(mesh)} if way == "grid" else {}
    state = train.replicate(pools.pool(*measures, **choices).init(ticket, jax.random.key(0)), mesh)

    def step(measures: tuple[Any, Any], state: pools.PoolState, candidate: Variables) -> jax.Array:
        return pools.pool(*measures, **choices).step(state, candidate)[1].values

    return jax.jit(step), (measures, state, train.replicate(candidate, mesh))


if __name__ == "__main__":
    main(sys.argv[1:])
