"""Figure 2: linear mode connectivity between consecutive tickets, with rewinding and without.

Command: python -m experiments.lottery_pools.figure2 --preset=demo
"""

import jax.numpy as jnp
import pandas as pd

from experiments.keeping import write
from experiments.lottery_pools.paper import main, one
from experiments.lottery_pools.runs import Run, tickets, twin
from experiments.options import Options
from lpjax import pools
from lpjax.report import paths as drawing
from lpjax.run.connectivity import linear_paths_stage

WORDS = {"rewinding": "with rewinding", "no rewinding": "without rewinding"}


def make(options: Options) -> None:
    """Measures, draws and writes.

    Args:
      options: What was asked for.
    """
    panel = one(options)
    found = {"rewinding": tickets(options, panel), "no rewinding": twin(options, panel)}
    runs = {setting: run for setting, run in found.items() if run}
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
    return run.analyze(linear_paths_stage, "linear_paths")


def _barriers(measured: pd.DataFrame) -> pd.DataFrame:
    """Gives every path's barrier, and how far it rises above the worse of its ends."""
    by = ["seed", "setting", "recalibrated", "pair"]
    rows = []
    for key, path in measured.sort_values("coefficient").groupby(by):
        errors = path["error"].to_numpy()
        rise = errors.max() - max(errors[0], errors[-1])
        rows.append((*key, float(pools.barrier(jnp.asarray(errors))), float(rise)))
    return pd.DataFrame(rows, columns=[*by, "barrier", "rise"])


def _text(title: str, heights: pd.DataFrame) -> str:
    """Averages over pairs within a seed, then over seeds."""
    lines = [
        "| statistics | setting | barrier, mean over pairs (points) | highest | above the worse end (points) |",
        "|---|---|---|---|---|",
    ]
    for (recalibrated, setting), rows in heights.groupby(["recalibrated", "setting"], sort=False):
        highest = 100 * rows.groupby("pair")["barrier"].mean().max()
        statistics = "recalibrated" if recalibrated else "mixed"
        barrier, rise = (_points(rows.groupby("seed")[column].mean()) for column in ("barrier", "rise"))
        lines.append(f"| {statistics} | {WORDS[setting]} | {barrier} | {highest:.2f} | {rise} |")
    return f"**{title}**\n\n" + "\n".join(lines) + f"\n\n{_difference(heights)}"


def _points(seeds: pd.Series) -> str:
    return f"{100 * seeds.mean():.2f}" + (f" ± {100 * seeds.std():.2f}" if len(seeds) > 1 else "")


def _difference(heights: pd.DataFrame) -> str:
    """Compares the two settings within a seed, recalibrated as everywhere else."""
    fresh = heights[heights["recalibrated"]].groupby(["setting", "seed"])["barrier"].mean().unstack("seed")
    if len(fresh) < len(WORDS):
        return "There are no tickets found without rewinding to compare with."
    less = fresh.loc["no rewinding"] - fresh.loc["rewinding"]
    return (
        f"Recalibrated, barriers without rewinding less those with it: {_points(less)} points; "
        f"above zero in {(less > 0).sum()} of {len(less)} seeds."
    )


if __name__ == "__main__":
    main(make, __doc__)
