"""Figure 2: linear mode connectivity between consecutive tickets, with rewinding and without.

Command: python -m experiments.lottery_pools.figure2 --preset=demo
"""

import jax.numpy as jnp
import pandas as pd

from experiments.lottery_pools.keeping import main, write
from experiments.lottery_pools.setting import NO_REWINDING, Options, Run, tickets
from lpjax import pools
from lpjax.report import paths as drawing
from lpjax.run.analyse import linear_paths


def make(options: Options) -> None:
    """Measures, draws and writes.

    Args:
      options: What was asked for.
    """
    panel = options.one()
    runs = {"rewinding": tickets(options, panel), "no rewinding": tickets(options, panel, NO_REWINDING)}
    measured = pd.concat([_paths(run).assign(setting=setting) for setting, run in runs.items()])
    columns = ["seed", "setting", "recalibrated", "pair", "coefficient"]
    long = measured.melt(columns, ["loss", "error"], var_name="metric")
    heights = _barriers(measured)
    shown = {"recalibrated statistics": long["recalibrated"], "mixed statistics": ~long["recalibrated"]}
    levels = runs["rewinding"].results(()).groupby("level")["density"].mean().tolist()
    figures = {
        "paths": drawing.paths([(how, long[chosen]) for how, chosen in shown.items()], densities=levels),
        "barriers": drawing.barriers(heights, densities=levels),
    }
    write(options, "figure2", figures, {"paths": measured, "barriers": heights}, _text(panel.title, heights))


def _paths(run: Run) -> pd.DataFrame:
    rows = [pd.DataFrame(linear_paths(run.job, run.workdir, seed)).assign(seed=seed) for seed in run.seeds]
    return pd.concat(rows)


def _barriers(measured: pd.DataFrame) -> pd.DataFrame:
    by = ["seed", "setting", "recalibrated", "pair"]
    ordered = measured.sort_values("coefficient").groupby(by)["error"]
    return (
        ordered.apply(lambda errors: float(pools.barrier(jnp.asarray(errors.to_numpy()))))
        .rename("barrier")
        .reset_index()
    )


def _text(title: str, heights: pd.DataFrame) -> str:
    """Averages over pairs within a seed, then over seeds."""
    lines = [
        "| statistics | setting | error barrier, mean over pairs (points) | highest | seeds |",
        "|---|---|---|---|---|",
    ]
    for (recalibrated, setting), rows in heights.groupby(["recalibrated", "setting"], sort=False):
        means = 100 * rows.groupby("seed")["barrier"].mean()
        spread = f" ± {means.std():.2f}" if len(means) > 1 else ""
        highest = 100 * rows.groupby("pair")["barrier"].mean().max()
        statistics = "recalibrated" if recalibrated else "mixed"
        lines.append(f"| {statistics} | {setting} | {means.mean():.2f}{spread} | {highest:.2f} | {len(means)} |")
    return f"**{title}**\n\n" + "\n".join(lines) + f"\n\n{_difference(heights)}"


def _difference(heights: pd.DataFrame) -> str:
    """Compares the two settings within a seed, recalibrated as everywhere else."""
    fresh = heights[heights["recalibrated"]].groupby(["setting", "seed"])["barrier"].mean().unstack("seed")
    lower = 100 * (fresh.loc["no rewinding"] - fresh.loc["rewinding"])
    spread = f" ± {lower.std():.2f}" if len(lower) > 1 else ""
    return (
        f"Recalibrated, rewinding's barriers are lower by {lower.mean():+.2f}{spread} points "
        f"({(lower > 0).sum()} of {len(lower)} seeds)."
    )


if __name__ == "__main__":
    main(make, __doc__)
