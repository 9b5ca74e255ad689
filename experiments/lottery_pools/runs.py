"""The runs of an experiment: their tickets, found or made, and the pools that it asks for."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from experiments.options import OWN, Options, Panel, config_of, own
from lpjax import pools
from lpjax.errors import UserError
from lpjax.run import Setup, Stage, run, run_stages
from lpjax.run.config import get, resolve
from lpjax.run.evaluate import evaluation_stage, gather, load_right
from lpjax.run.pools import Search, pools_stage
from lpjax.run.saved import networks
from lpjax.run.setup import prepare
from lpjax.store import Result, paths, read_json

PUBLISHED = {
    "coefficients": pools.INTERPOLATION,
    "accept": ">=",
    "prune": "during",
    "recalibration_batches": "shared",
    "coarse_stride": 1,
    "rank_by": "recalibrated",
}
"""The exhaustive search, as in the paper but for the images to recalibrate on, which the config says."""


class Run(NamedTuple):
    """Tickets that are there: `levels` of them for every seed."""

    title: str
    setup: Setup
    workdir: Path
    seeds: tuple[int, ...]
    levels: int

    def build(self, searches: Mapping[str, Search]) -> None:
        """Build and evaluate pools, those that are not there yet."""
        stages = []
        for seed in self.seeds:
            stages.append(pools_stage(self.setup.config, self.workdir, seed, searches))
            stages.append(evaluation_stage(self.workdir, seed, range(self.levels), tuple(searches)))
        run_stages(self.setup, self.workdir, stages)

    def analyze(self, stage: Callable[[Path, int, int], Stage], name: str) -> pd.DataFrame:
        """Measure something of every seed, where it is not there yet, and read what was recorded."""
        run_stages(self.setup, self.workdir, [stage(self.workdir, seed, self.levels) for seed in self.seeds])
        tables = []
        for seed in self.seeds:
            rows = read_json(paths.analysis(self.workdir, seed, name))
            tables.append(pd.DataFrame(rows).assign(seed=seed))
        return pd.concat(tables)

    def results(self, methods: Sequence[str]) -> pd.DataFrame:
        """Read what was measured of tickets and pools."""
        rows = gather(self.workdir, self.seeds, range(self.levels), methods)
        return pd.DataFrame(rows, columns=list(Result._fields))

    def right(self, methods: Sequence[str]) -> dict[tuple[str, int, int], np.ndarray]:
        """Read which test images every network classifies correctly, by method, seed and level."""
        images = len(self.setup.data.test.labels)
        answers = {}
        for seed in self.seeds:
            for network in networks(self.workdir, seed, range(self.levels), methods):
                answers[network.method, seed, network.level] = load_right(network.directory, images)
        return answers


def tickets(options: Options, panel: Panel) -> Run:
    """Find a panel's tickets; what is done already is left alone."""
    workdir = panel.source if panel.source.is_dir() else options.runs / panel.source.stem
    return _tickets(panel, workdir, options.seeds, options.overrides)


def finished(workdir: Path) -> Run:
    """Find the tickets of a work directory, with the settings that it was made with."""
    config = config_of(own(workdir, None))
    return Run("", prepare(resolve(config)), workdir, tuple(config.seeds), config.imp.levels)


def all_tickets(options: Options) -> list[Run]:
    """Find the tickets of every panel."""
    return [tickets(options, panel) for panel in options.panels]


def beside(options: Options, panel: Panel, suffix: str, changes: Mapping[str, Any]) -> Run | None:
    """Find the tickets of a panel's config with some fields changed, in a work directory named alike with a suffix.

    Beside a given work directory they are looked for, and not made; None if there are none.

    Raises:
      UserError: If the work directory that is there has other values in these fields.
    """
    fixed = tuple(sorted(changes.items()))
    if options.preset != OWN:
        workdir = options.runs / f"{panel.source.stem}_{suffix}"
        return _tickets(panel, workdir, options.seeds, options.overrides + fixed)
    workdir = panel.source.with_name(f"{panel.source.name}_{suffix}")
    if not paths.config(workdir).exists():
        return None
    config = config_of(Panel("", workdir))
    for field, value in fixed:
        if get(config, field) != value:
            raise UserError(f"{workdir}: got {field} = {get(config, field)!r}, expected {value!r}; train it again")
    return _tickets(own(workdir, options.seeds), workdir, options.seeds, options.overrides)


@cache
def _tickets(panel: Panel, workdir: Path, seeds: tuple[int, ...] | None, overrides: tuple[tuple[str, Any], ...]) -> Run:
    config = config_of(panel)
    config.seeds = seeds or tuple(config.seeds)
    config.pool.methods = ()
    if not panel.source.is_dir():
        config.pool.update(PUBLISHED)
    config.update_from_flattened_dict(dict(overrides))
    return Run(panel.title, run(config, workdir), workdir, tuple(config.seeds), config.imp.levels)


def published_name(runs: Iterable[Run], name: str) -> str:
    """Return `'interpolation'` where that is the exhaustive search in every run's own config, else `name`."""
    published = {**PUBLISHED, "candidates": 0}
    for setup in (one.setup for one in runs):
        if any(setup.config.pool[field] != value for field, value in published.items()):
            return name
    return "interpolation"


def published_search(*, candidates: int = 0, **changes: Any) -> Search:
    """Return the exhaustive search, with another number of candidates or other settings where they are given."""
    return Search("interpolation", candidates, PUBLISHED | changes)


def search_images(setup: Setup) -> int:
    """Count the forward passes of a candidate, in images, at most."""
    pool = setup.config.pool
    budget = setup.data.size if pool.recalibrate == "full" else min(int(pool.recalibrate), setup.data.size)
    validation = len(setup.data.validation.labels)
    mixes = len(pool.coefficients)
    tried = sum(pools.coefficient_rounds(mixes, pool.coarse_stride))
    if pool.rank_by == "recalibrated":
        return tried * (budget + validation)
    return tried * (pool.rank_images or validation) + budget + validation
