"""The runs of an experiment: their tickets, found or made, and the pools that it asks for."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from experiments.options import OWN, Options, Panel, config_of, own
from lpjax.run import default_config, run, write_results
from lpjax.run.evaluate import evaluate_seed, gather, load_right, networks
from lpjax.run.job import Job
from lpjax.run.pool import Search, build_pools, search
from lpjax.run.processes import alone
from lpjax.store import Result, paths

T = TypeVar("T")

NO_REWINDING = "0it"


class Run(NamedTuple):
    """Tickets that are there.

    Attributes:
      title: Of their panel.
      job: Network and data.
      workdir: Where they lie.
      seeds: Replicates.
      levels: Tickets a seed.
    """

    title: str
    job: Job
    workdir: Path
    seeds: tuple[int, ...]
    levels: int

    def build(self, searches: Mapping[str, Search]) -> None:
        """Builds and evaluates pools, those that are not there yet."""
        with alone(self.workdir):
            for seed in self.seeds:
                build_pools(self.job, self.workdir, seed, searches)
                evaluate_seed(self.job, self.workdir, seed, tuple(searches))
            write_results(self.workdir, self.levels)

    def analyze(self, analysis: Callable[[Job, Path, int], T]) -> dict[int, T]:
        """Measures something of every seed, where it is not there yet; gives it by seed."""
        with alone(self.workdir):
            return {seed: analysis(self.job, self.workdir, seed) for seed in self.seeds}

    def results(self, methods: Sequence[str]) -> pd.DataFrame:
        """Reads what was measured of tickets and pools."""
        rows = gather(self.workdir, self.seeds, self.levels, methods)
        return pd.DataFrame(rows, columns=list(Result._fields))

    def right(self, methods: Sequence[str]) -> dict[tuple[str, int, int], np.ndarray]:
        """Reads which test images every network classifies rightly, by method, seed and level."""
        images = len(self.job.test.labels)
        return {
            (network.method, seed, network.level): load_right(network.directory, images)
            for seed in self.seeds
            for network in networks(self.workdir, seed, self.levels, methods)
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
    ours, published = run.job.config.pool, default_config().pool
    fields = ("coefficients", "candidates", "accept", "prune", "recalibration_batches")
    if all(ours[field] == published[field] for field in fields):
        return {"interpolation": search(run.job, "interpolation")}
    return {name: published_search(run)}


def published_search(run: Run, **changes: Any) -> Search:
    """Builds the paper's search with some of its choices changed.

    Args:
      run: Whose tickets.
      **changes: Of the engine: `coefficients`, `accept`, `prune`.

    Returns:
      The search, over all candidates.
    """
    published = default_config().pool
    fields = ("coefficients", "accept", "prune", "recalibration_batches")
    choices = {field: published[field] for field in fields}
    return search(run.job, "interpolation", candidates=published.candidates, **(choices | changes))
