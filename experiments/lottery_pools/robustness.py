"""Tickets and pools on corrupted test images."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from ml_collections import ConfigDict
from scipy import stats

from experiments import markdown
from experiments.keeping import write
from experiments.lottery_pools.runs import Run, all_tickets
from experiments.options import Options
from lpjax import data
from lpjax.report import panels, tables
from lpjax.run import run_stages
from lpjax.run.corruptions import corruptions_stage, find_corruptions, gather_corruptions, mean_over
from lpjax.run.pools import Search
from lpjax.store import Result

POOLS = ("interpolation", "average")
SMALLEST = 0.001
SETS = {"15 of the benchmark": data.BENCHMARK, "all 19": (*data.BENCHMARK, *data.EXTRA)}
FILES = {"benchmark": "15 of the benchmark", "all": "all 19"}
HEADINGS = (
    *("mean over", "there", "tickets", "method", "accuracy"),
    *("gain (points)", "95 % interval", "p", "gain at best level"),
)


def figure3c(options: Options) -> None:
    """Figure 3c: tickets and pools on corrupted test images."""
    cells = dict(_measured(run) for run in all_tickets(options))
    means = {which: {title: _means(rows, names) for title, rows in cells.items()} for which, names in SETS.items()}
    written = {"cells": pd.concat([pd.DataFrame(rows).assign(panel=title) for title, rows in cells.items()])}
    figures = {}
    for name, which in FILES.items():
        panel = means[which].items()
        figures[name] = panels.panels(list(panel), ("ticket", *POOLS), split="corrupted test")
        written[name] = pd.concat([table.assign(panel=title) for title, table in panel])
    write(options, "figure3c", figures, written, describe)


def _measured(run: Run) -> tuple[str, list[Result]]:
    """Measure every corruption and severity, under a title that says what the images are."""
    run.build({method: Search(method) for method in POOLS})
    config = ConfigDict(run.setup.config.to_dict())
    config.corruptions.measure = "all"
    levels = range(run.levels)
    stage = corruptions_stage(config, run.workdir, run.seeds, levels, POOLS)
    run_stages(run.setup._replace(config=config), run.workdir, [stage])
    cells = gather_corruptions(run.workdir, run.seeds, levels, POOLS)
    return f"{run.title}: {find_corruptions(run.setup).label}", cells


def _means(cells: Sequence[Result], names: Sequence[str]) -> pd.DataFrame:
    """Return a table like that of clean results, of means over corruptions and severities."""
    first = {(cell.seed, cell.level, cell.method): cell for cell in reversed(cells)}
    rows = []
    for mean in mean_over(cells, names):
        row = first[mean.seed, mean.level, mean.method]._replace(split="corrupted test", value=mean.accuracy)
        rows.append(row._asdict() | {"corruptions": mean.corruptions})
    return pd.DataFrame(rows)


def describe(kept: Mapping[str, pd.DataFrame], preset: str = "") -> str:
    """Write the gains on corrupted images of every panel, for both sets of corruptions."""
    del preset
    parts = []
    for title, cells in kept["cells"].groupby("panel", sort=False):
        means = {which: kept[name][kept[name]["panel"] == title] for name, which in FILES.items()}
        parts.append(f"**{title}**\n\n{markdown.table(HEADINGS, _rows(cells, means))}")
    return "\n\n".join(parts)


def _rows(cells: pd.DataFrame, means: Mapping[str, pd.DataFrame]) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    for which, table in means.items():
        wide = tables.wide(table, "corrupted test", "accuracy")
        for method in POOLS:
            gain = wide[method] - wide["ticket"]
            rows.append(
                (
                    which,
                    str(table["corruptions"].min()),
                    _spread(wide["ticket"], ".4f"),
                    method,
                    _spread(wide[method], ".4f"),
                    _spread(100 * gain, "+.2f"),
                    *_paired(cells, SETS[which], method),
                    f"{100 * gain.groupby('level').mean().max():+.2f}",
                )
            )
    return rows


def _paired(cells: pd.DataFrame, names: Sequence[str], method: str) -> tuple[str, str]:
    """Compare pool and ticket corruption by corruption: a bootstrap over them, and Wilcoxon's signed-rank test."""
    table = cells.assign(corruption=cells["split"].str.extract(r"([^/]+)-\d+$"))
    means = table[table["corruption"].isin(names)].groupby(["corruption", "method"])["value"].mean().unstack()
    gains = (100 * (means[method] - means["ticket"])).to_numpy()
    interval = stats.bootstrap((gains,), np.mean, method="percentile", rng=np.random.default_rng(0)).confidence_interval
    p = stats.wilcoxon(gains).pvalue
    return f"{interval.low:+.2f} to {interval.high:+.2f}", "< 0.001" if p < SMALLEST else f"{p:.3f}"


def _spread(values: pd.Series, form: str) -> str:
    spread = tables.spread(values)
    return markdown.spread(spread.mean, spread.std, form)
