"""What cheaper ways to search a pool cost, and what they lose: on the tickets of a run that is there.

The pools of all anchors and seeds are searched again in every way and evaluated on test; the first way is the run's
own. Images are those that a candidate sends through the network: for every coefficient, or, where mixes are ranked
first, for the one that is chosen. Differences are of the mean test accuracy over levels, within seeds; their interval
is Student's, over seeds.

Command: python -m experiments.benchmarks.search_cost --workdir=runs/demo
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from experiments.benchmarks.inputs import machine, parser
from experiments.lottery_pools.runs import Run
from experiments.options import config_of, own
from experiments.sup_tickets.pairs import interval
from lpjax import store
from lpjax.report import tables
from lpjax.run.config import resolve
from lpjax.run.pools import Search
from lpjax.run.setup import Setup, prepare
from lpjax.store import paths


class Way(NamedTuple):
    """A way to search: how mixes are ranked, and on how many images they are recalibrated (`pool.recalibrate`)."""

    name: str
    rank_by: str
    images: str


def ways(own_budget: str, budgets: Sequence[str]) -> list[Way]:
    """List the run's own search, then both rankings at every budget."""
    found = [Way("interpolation", "recalibrated", own_budget)]
    for images in budgets:
        if images != own_budget:
            found.append(Way(f"all_{images}", "recalibrated", images))
        found.append(Way(f"ranked_{images}", "batch_statistics", images))
    return found


def main(argv: list[str]) -> None:
    """Print a row per way; the first is what the others are compared with."""
    arguments = parser(__doc__)
    arguments.add_argument("--workdir", type=Path, required=True, help="of a run with tickets")
    arguments.add_argument(
        "--budgets", nargs="+", default=["full", "100"], help="of pool.recalibrate; 'full' or a number"
    )
    options = arguments.parse_args(argv)
    config = config_of(own(options.workdir, None))
    base: np.ndarray | None = None
    print(f"{options.workdir.name}, {len(config.seeds)} seeds, {config.imp.levels} levels, {machine()}")
    print(f"{'search':>14} {'images':>8} {'ms':>7} {'accuracy':>17} {'difference (points)':>26}")
    for way in ways(config.pool.recalibrate, options.budgets):
        config.pool.recalibrate = way.images
        run = Run("", prepare(resolve(config)), options.workdir, tuple(config.seeds), config.imp.levels)
        run.build({way.name: Search("interpolation", settings={"rank_by": way.rank_by})})
        values = 100 * accuracies(run, way.name)
        base = values if base is None else base
        low, high = interval(values - base)
        difference = f"{np.mean(values - base):+.3f} ({low:+.3f} to {high:+.3f})"
        accuracy = f"{values.mean():.3f} ± {values.std(ddof=1) if len(values) > 1 else 0:.3f}"
        cost = f"{images(run.setup, way):>8} {milliseconds(run, way.name):7.0f}"
        print(f"{way.name:>14} {cost} {accuracy:>17} {difference:>26}", flush=True)


def images(setup: Setup, way: Way) -> int:
    """Count the images that a candidate sends through the network."""
    mixes = len(setup.config.pool.coefficients)
    budget = setup.data.size if way.images == "full" else min(int(way.images), setup.data.size)
    validation = len(setup.data.validation.labels)
    if way.rank_by == "recalibrated":
        return mixes * (budget + validation)
    return mixes * validation + budget + validation


def milliseconds(run: Run, name: str) -> float:
    """Return how long a candidate took, by the pools' records."""
    seconds = []
    for seed in run.seeds:
        for level in range(run.levels):
            seconds.append(store.read_json(paths.summary(paths.pool(run.workdir, seed, name, level)))["seconds"])
    return 1000 * float(np.median(seconds)) / (run.levels - 1)


def accuracies(run: Run, name: str) -> np.ndarray:
    """Return the mean test accuracy over levels of every seed."""
    values = tables.wide(run.results((name,)), "test", "accuracy")[name]
    return values.unstack("level").mean(axis="columns").to_numpy()


if __name__ == "__main__":
    main(sys.argv[1:])
