"""Figure 3c: tickets and pools on corrupted test images.

Command: python -m experiments.lottery_pools.figure3c --preset=demo
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from ml_collections import ConfigDict
from scipy import stats

from experiments.keeping import write
from experiments.lottery_pools.paper import main
from experiments.lottery_pools.runs import Run, tickets
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


def make(options: Options) -> None:
    """Measures, draws and writes.

    Args:
      options: What was asked for.
    """
    cells = dict(_measured(tickets(options, panel)) for panel in options.panels)
    means = {which: [(title, _means(rows, names)) for title, rows in cells.items()] for which, names in SETS.items()}
    figures = {
        name: panels.panels(means[which], ("ticket", *POOLS), split="corrupted test")
        for name, which in zip(("benchmark", "all"), SETS, strict=True)
    }
    written = {"cells": pd.concat([pd.DataFrame(rows).assign(panel=title) for title, rows in cells.items()])}
    for name, panel in zip(figures, means.values(), strict=True):
        written[name] = pd.concat([table.assign(panel=title) for title, table in panel])
    text = "\n\n".join(_text(title, rows, means) for title, rows in cells.items())
    write(options, "figure3c", figures, written, text)


def _measured(run: Run) -> tuple[str, list[Result]]:
    """Measures every cell, under a title that says what the images are."""
    run.build({method: Search(method) for method in POOLS})
    config = ConfigDict(run.setup.config.to_dict())
    config.corruptions.measure = "all"
    levels = range(run.levels)
    stage = corruptions_stage(config, run.workdir, run.seeds, levels, POOLS)
    run_stages(run.setup._replace(config=config), run.workdir, [stage])
    cells = gather_corruptions(run.workdir, run.seeds, levels, POOLS)
    return f"{run.title}: {find_corruptions(run.setup).label}", cells


def _means(cells: Sequence[Result], names: Sequence[str]) -> pd.DataFrame:
    """Makes a table like that of clean results, of means over cells."""
    first = {(cell.seed, cell.level, cell.method): cell for cell in reversed(cells)}
    rows = [
        {
            **first[mean.seed, mean.level, mean.method]._asdict(),
            "split": "corrupted test",
            "value": mean.accuracy,
            "corruptions": mean.corruptions,
        }
        for mean in mean_over(cells, names)
    ]
    return pd.DataFrame(rows)


def _text(title: str, cells: Sequence[Result], means: dict[str, list[tuple[str, pd.DataFrame]]]) -> str:
    lines = [
        "| mean over | there | tickets | method | accuracy | gain (points) | 95 % interval | p | gain at best level |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for which, panel in means.items():
        table = dict(panel)[title]
        wide = tables.wide(table, "corrupted test", "accuracy")
        for method in POOLS:
            gain = wide[method] - wide["ticket"]
            best = 100 * gain.groupby("level").mean().max()
            lines.append(
                f"| {which} | {table['corruptions'].min()} | {_share(wide['ticket'])} | {method} | "
                f"{_share(wide[method])} | {_points(gain)} | {_paired(cells, SETS[which], method)} | {best:+.2f} |"
            )
    return f"**{title}**\n\n" + "\n".join(lines)


def _paired(cells: Sequence[Result], names: Sequence[str], method: str) -> str:
    """Compares pool and ticket corruption by corruption: a bootstrap over them, and Wilcoxon's signed-rank test."""
    table = pd.DataFrame(cells)
    table["corruption"] = table["split"].str.extract(r"([^/]+)-\d+$")
    means = table[table["corruption"].isin(names)].groupby(["corruption", "method"])["value"].mean().unstack()
    gains = (100 * (means[method] - means["ticket"])).to_numpy()
    interval = stats.bootstrap((gains,), np.mean, method="percentile", rng=np.random.default_rng(0)).confidence_interval
    p = stats.wilcoxon(gains).pvalue
    return f"{interval.low:+.2f} to {interval.high:+.2f} | {'< 0.001' if p < SMALLEST else f'{p:.3f}'}"


def _share(values: pd.Series) -> str:
    spread = tables.spread(values)
    return f"{spread.mean:.4f}" + ("" if spread.std is None else f" ± {spread.std:.4f}")


def _points(values: pd.Series) -> str:
    spread = tables.spread(values)
    return f"{100 * spread.mean:+.2f}" + ("" if spread.std is None else f" ± {100 * spread.std:.2f}")


if __name__ == "__main__":
    main(make, __doc__)
