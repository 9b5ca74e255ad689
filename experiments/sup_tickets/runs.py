"""The runs of an experiment, found or made: a base network and Sup-tickets of one method and sparsity, every seed."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from experiments.options import OWN, Options, Panel, config_of
from experiments.sup_tickets.pairs import Answers
from lpjax import store
from lpjax.errors import UserError
from lpjax.run import Setup, levels_of, run
from lpjax.run.evaluate import load_right
from lpjax.store import paths

BASE, CHEAP, SUP, DENSE = "base", "cheap", "cia", "dense"


class Run(NamedTuple):
    """A sparse run that is there: a base network and `tickets` cheap tickets for every seed."""

    network: str
    method: str
    sparsity: float
    setup: Setup
    workdir: Path
    seeds: tuple[int, ...]
    tickets: int

    @property
    def labels(self) -> dict[str, Any]:
        """What tells the run apart in a table."""
        return {"network": self.network, "method": self.method, "sparsity": self.sparsity}

    def directory(self, seed: int, arm: str, level: int | None = None) -> Path:
        """Return where a network lies: `'base'`, the `level`-th `'cheap'` ticket, or an average of so many."""
        if arm == BASE:
            return paths.level(self.workdir, seed, 0)
        level = self.tickets if level is None else level
        return paths.level(self.workdir, seed, level) if arm == CHEAP else paths.pool(self.workdir, seed, arm, level)

    def answers(self, arm: str) -> Answers:
        """Read which test images a network classifies correctly, by seed."""
        images = len(self.setup.data.test.labels)
        return {seed: load_right(self.directory(seed, arm), images) for seed in self.seeds}

    def measured(self, arm: str, metric: str, level: int | None = None) -> dict[int, float]:
        """Read what was measured of a network on test, by seed."""
        records = {seed: store.read_json(paths.evaluation(self.directory(seed, arm, level))) for seed in self.seeds}
        return {seed: record["test"][metric] for seed, record in records.items()}

    def summary(self, arm: str, field: str) -> dict[int, float]:
        """Read what was recorded of a network when it was made, by seed."""
        return {seed: store.read_json(paths.summary(self.directory(seed, arm)))[field] for seed in self.seeds}

    def cheap_mean(self) -> dict[int, float]:
        """Average the accuracy of the cheap tickets, by seed."""
        each = [self.measured(CHEAP, "accuracy", level) for level in range(1, self.tickets + 1)]
        return {seed: sum(values[seed] for values in each) / len(each) for seed in self.seeds}


def find(
    options: Options,
    panels: Sequence[Panel],
    methods: Sequence[str],
    sparsities: Sequence[float],
    variant: str = "",
    changes: Mapping[str, Any] | None = None,
) -> list[Run]:
    """Find runs; what is done already is left alone, what is not there is trained.

    Given work directories are what they are whatever else is asked for; those with cheap tickets are found. A variant,
    with changed fields of the config, adds its name to that of the work directory.
    """
    if options.preset == OWN:
        found = [_find(panel, panel.source, None, options.seeds, options.overrides) for panel in panels]
        cyclic = [run for run in found if run.tickets]
        if not cyclic:
            raise UserError("no given run has cheap tickets; give the --workdir of one with superpose.share above 0")
        return cyclic
    overrides = options.overrides + tuple((changes or {}).items())
    runs = []
    for panel in panels:
        for sparsity in sparsities:
            for method in methods:
                parts = (panel.source.stem, method, f"{sparsity:g}", variant)
                workdir = options.runs / "_".join(filter(None, parts))
                runs.append(_find(panel, workdir, f"{method},{sparsity:g}", options.seeds, overrides))
    return runs


def dense(options: Options, panels: Sequence[Panel]) -> dict[str, Run]:
    """Find the dense networks that sparse ones are compared with, by network; of given work directories the dense."""
    runs = []
    for panel in panels:
        if options.preset != OWN:
            workdir = options.runs / f"{panel.source.stem}_{DENSE}"
            overrides = (*options.overrides, ("superpose.share", 0.0))
            runs.append(_find(panel, workdir, DENSE, options.seeds, overrides))
        elif config_of(panel).sparse.method == DENSE:
            runs.append(_find(panel, panel.source, None, options.seeds, options.overrides))
    return {run.network: run for run in runs}


@lru_cache(maxsize=32)
def _find(
    panel: Panel,
    workdir: Path,
    argument: str | None,
    seeds: tuple[int, ...] | None,
    overrides: tuple[tuple[str, Any], ...],
) -> Run:
    config = config_of(panel, *([argument] if argument else []))
    config.seeds = seeds or tuple(config.seeds)
    config.update_from_flattened_dict(dict(overrides))
    if config.sparse.method == "none":
        raise UserError(f"{workdir} holds tickets found by iterative pruning; give a run of sparse training")
    setup = run(config, workdir)
    network = panel.title if argument else f"{config.model}, {config.dataset}"
    sparsity = round(1 - config.sparse.density, 6)
    tickets = len(levels_of(setup.config, setup.steps)) - 1
    return Run(network, config.sparse.method, sparsity, setup, workdir, tuple(config.seeds), tickets)
