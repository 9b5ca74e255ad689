"""What cheaper ways to search a pool cost, and what they lose: on the tickets of a run that is there.

The pools of all anchors and seeds are searched in every way and evaluated on test; they stay in the work directory, and
are read where they are there already. Images are forward passes per candidate; milliseconds are those recorded when a
pool was built. Accuracy is the mean over levels. Differences are from the first row, by default the exhaustive search,
within seeds; their interval is Student's, over seeds.

Command: python -m experiments.benchmarks.search_cost --workdir=runs/demo
"""

import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.benchmarks.inputs import machine, parser
from experiments.lottery_pools.runs import Run, finished, search_images
from lpjax import store
from lpjax.choices import one_of
from lpjax.metrics import mean_interval
from lpjax.report import tables
from lpjax.run.pools import Search
from lpjax.run.setup import prepare
from lpjax.store import paths


class Way(NamedTuple):
    """A way to search: the settings `pool.*` in which it differs from the run's own."""

    name: str
    settings: dict[str, Any]


def ways(own_budget: str, budgets: Sequence[str], strides: Sequence[int], rank_images: Sequence[int]) -> list[Way]:
    """List searches that recalibrate every mix, first the paper's with the run's own budget; then those that rank."""
    found = []
    for budget, stride in itertools.product(dict.fromkeys((own_budget, *budgets)), dict.fromkeys((1, *strides))):
        name = f"exact_{budget}_stride{stride}"
        settings = {"rank_by": "recalibrated", "coarse_stride": stride, "rank_images": 0, "recalibrate": budget}
        found.append(Way(name, settings))
    for budget, stride, images in itertools.product(budgets, strides, rank_images):
        name = f"ranked_{budget}_stride{stride}_on{images or 'all'}"
        settings = {"rank_by": "batch_statistics", "coarse_stride": stride, "rank_images": images}
        found.append(Way(name, {**settings, "recalibrate": budget}))
    return found


def main(argv: list[str]) -> None:
    """Print a row per way; the first is what the others are compared with."""
    arguments = parser(__doc__)
    arguments.add_argument("--workdir", type=Path, required=True, help="of a run with tickets")
    arguments.add_argument(
        "--budgets", nargs="+", default=["full", "100"], help="of pool.recalibrate; 'full' or a number"
    )
    arguments.add_argument("--strides", nargs="+", type=int, default=[1, 3], help="of pool.coarse_stride")
    arguments.add_argument("--rank_images", nargs="+", type=int, default=[0], help="of pool.rank_images; 0 for all")
    arguments.add_argument("--ways", nargs="+", default=[], help="rows of the table, by name (default: all)")
    options = arguments.parse_args(argv)
    run = finished(options.workdir)
    config = run.setup.config
    base: np.ndarray | None = None
    print(f"{options.workdir.name}, {len(config.seeds)} seeds, {config.imp.levels} levels, {machine()}")
    print(f"{'search':>32} {'images':>8} {'ms':>7} {'accuracy':>17} {'difference (points)':>26}")
    chosen = ways(config.pool.recalibrate, options.budgets, options.strides, options.rank_images)
    for name in options.ways:
        one_of("--ways", name, [way.name for way in chosen])
    for way in chosen:
        if options.ways and way.name not in options.ways:
            continue
        config.pool.update(way.settings)
        run = run._replace(setup=prepare(config))
        run.build({way.name: Search("interpolation")})
        values = 100 * accuracies(run, way.name)
        base = values if base is None else base
        mean, low, high = mean_interval(values - base)
        difference = f"{mean:+.3f}"
        accuracy = f"{values.mean():.3f}"
        if len(values) > 1:
            difference += f" ({low:+.3f} to {high:+.3f})"
            accuracy += f" ± {values.std(ddof=1):.3f}"
        cost = f"{search_images(run.setup):>8} {milliseconds(run, way.name):7.0f}"
        print(f"{way.name:>32} {cost} {accuracy:>17} {difference:>26}", flush=True)


def milliseconds(run: Run, name: str) -> float:
    """Return how long a candidate took, by the pools' records."""
    seconds = []
    for seed in run.seeds:
        for level in range(run.levels):
            seconds.append(store.read_json(paths.summary(paths.pool(run.workdir, seed, name, level)))["seconds"])
    return 1000 * float(np.median(seconds)) / (run.setup.config.pool.candidates or run.levels - 1)


def accuracies(run: Run, name: str) -> np.ndarray:
    """Return the mean test accuracy over levels of every seed."""
    values = tables.wide(run.results((name,)), "test", "accuracy")[name]
    return values.unstack("level").mean(axis="columns").to_numpy()


if __name__ == "__main__":
    main(sys.argv[1:])
