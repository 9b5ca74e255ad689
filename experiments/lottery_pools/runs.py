"""The runs of an experiment: their tickets, found or made, and the pools that it asks for."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from experiments.options import OWN, Options, Panel, config_of, own
from lpjax.run import Setup, Stage, default_config, run, run_stages
from lpjax.run.evaluate import evaluation_stage, gather, load_right, networks
from lpjax.run.pools import Search, pools_stage
from lpjax.store import Result, paths, read_json

NO_REWINDING = "0it"


class Run(NamedTuple):
    """Tickets that are there.

    Attributes:
      title: Of their panel.
      setup: Network and data.
      workdir: Where they lie.
      seeds: Replicates.
      levels: Tickets a seed.
    """

    title: str
    setup: Setup
    workdir: Path
    seeds: tuple[int, ...]
    levels: int

    def build(self, searches: Mapping[str, Search]) -> None:
        """Builds and evaluates pools, those that are not there yet."""
        stages = []
        for seed in self.seeds:
            stages.append(pools_stage(self.setup.config, self.workdir, seed, searches))
            stages.append(evaluation_stage(self.workdir, seed, range(self.levels), tuple(searches)))
        run_stages(self.setup, self.workdir, stages)

    def analyze(self, stage: Callable[[Path, int, int], Stage], name: str) -> pd.DataFrame:
        """Measures something of every seed, where it is not there yet, and reads what was recorded."""
        run_stages(self.setup, self.workdir, [stage(self.workdir, seed, self.levels) for seed in self.seeds])
        records = {seed: read_json(paths.analysis(self.workdir, seed, name)) for seed in self.seeds}
        return pd.concat([pd.DataFrame(rows).assign(seed=seed) for seed, rows in records.items()])

    def results(self, methods: Sequence[str]) -> pd.DataFrame:
        """Reads what was measured of tickets and pools."""
        rows = gather(self.workdir, self.seeds, range(self.levels), methods)
        return pd.DataFrame(rows, columns=list(Result._fields))

    def right(self, methods: Sequence[str]) -> dict[tuple[str, int, int], np.ndarray]:
        """Reads which test images every network classifies rightly, by method, seed and level."""
        images = len(self.setup.data.test.labels)
        return {
            (network.method, seed, network.level): load_right(network.directory, images)
            for seed in self.seeds
            for network in networks(self.workdir, seed, range(self.levels), methods)
        }


def tickets(options: Options, panel: Panel) -> Run:
    """Finds a panel's tickets; what is done already is left alone.

    Args:
      options: Seeds, and where runs lie.
      panel: Which.

    Returns:
      The run.
    """
    workdir = panel.source if panel.source.is_dir() else options.runs / panel.source.stem
    return _tickets(panel, workdir, "", options.seeds, options.overrides)


def twin(options: Options, panel: Panel) -> Run | None:
    """Finds the tickets of a panel's twin, which starts again from its initial weights.

    Args:
      options: Seeds, and where runs lie.
      panel: Which.

    Returns:
      The run. Of a work directory of one's own the twin lies beside it, named alike with `_0it`; None if there is none.

    Raises:
      ValueError: If that directory rewinds elsewhere.
    """
    if options.preset != OWN:
        workdir = options.runs / f"{panel.source.stem}_{NO_REWINDING}"
        return _tickets(panel, workdir, NO_REWINDING, options.seeds, options.overrides)
    beside = panel.source.with_name(f"{panel.source.name}_{NO_REWINDING}")
    if not paths.config(beside).exists():
        return None
    if (rewind := config_of(Panel("", beside)).imp.rewind) != NO_REWINDING:
        raise ValueError(f"{beside} rewinds to {rewind}; its tickets were to start again at {NO_REWINDING}")
    return _tickets(own(beside, options.seeds), beside, "", options.seeds, options.overrides)


@cache
def _tickets(
    panel: Panel, workdir: Path, rewind: str, seeds: tuple[int, ...] | None, overrides: tuple[tuple[str, Any], ...]
) -> Run:
    config = config_of(panel)
    config.seeds = seeds or tuple(config.seeds)
    config.pool.methods = ()
    config.update_from_flattened_dict(dict(overrides))
    config.imp.rewind = rewind or config.imp.rewind
    return Run(panel.title, run(config, workdir), workdir, tuple(config.seeds), config.imp.levels)


def as_published(run: Run, name: str) -> dict[str, Search]:
    """Builds the paper's search, whatever the run's own config says of pools.

    Args:
      run: Whose.
      name: What to call it where the run's own `interpolation` is another search.

    Returns:
      The search, by name.
    """
    ours, published = run.setup.config.pool, default_config().pool
    fields = ("coefficients", "candidates", "accept", "prune", "recalibration_batches")
    if all(ours[field] == published[field] for field in fields):
        return {"interpolation": Search("interpolation")}
    return {name: published_search()}


def published_search(**changes: Any) -> Search:
    """Builds the paper's search with some of its choices changed.

    Args:
      **changes: Of the engine: `coefficients`, `accept`, `prune`.

    Returns:
      The search, over all candidates.
    """
    published = default_config().pool
    fields = ("coefficients", "accept", "prune", "recalibration_batches")
    choices = {field: published[field] for field in fields}
    return Search("interpolation", published.candidates, choices | changes)
