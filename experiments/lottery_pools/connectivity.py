"""What lies between tickets, found with rewinding and without: averaged pairs and linear paths."""

from collections.abc import Mapping

import jax.numpy as jnp
import pandas as pd

from experiments import markdown
from experiments.keeping import write
from experiments.lottery_pools.paper import one
from experiments.lottery_pools.runs import beside, tickets
from experiments.options import Options
from lpjax import pools
from lpjax.report import heatmap
from lpjax.report import paths as drawing
from lpjax.run.connectivity import averaged_pairs_stage, linear_paths_stage

NO_REWINDING = {"imp.rewind": "0it"}
WORDS = {"rewinding": "with rewinding", "no rewinding": "without rewinding"}


def figure1(options: Options) -> None:
    """Figure 1: test accuracy of averaged pairs of tickets, with rewinding and without."""
    panel = one(options)
    runs = {"with rewinding": tickets(options, panel), "without rewinding": beside(options, panel, "0it", NO_REWINDING)}
    tables = {setting: run.analyze(averaged_pairs_stage, "averaged_pairs") for setting, run in runs.items() if run}
    gains = pd.concat([_gains(table).assign(setting=setting) for setting, table in tables.items()])
    gains = gains.assign(panel=panel.title)
    pairs = pd.concat([table.assign(setting=setting) for setting, table in tables.items()])
    figure = heatmap.pairs(list(tables.items()))
    write(options, "figure1", {"pairs": figure}, {"pairs": pairs, "gains": gains}, describe_gains)


def _gains(pairs: pd.DataFrame) -> pd.DataFrame:
    """Subtract from every pair's accuracy that of its sparser parent, whose density it has."""
    parents = pairs[pairs["first"] == pairs["second"]].set_index(["seed", "second"])["accuracy"]
    mixed = pairs[pairs["first"] < pairs["second"]]
    parent = parents.loc[pd.MultiIndex.from_frame(mixed[["seed", "second"]])].to_numpy()
    return mixed.assign(distance=mixed["second"] - mixed["first"], gain=mixed["accuracy"] - parent)


def describe_gains(tables: Mapping[str, pd.DataFrame], preset: str = "") -> str:
    """Write the gain over the sparser parent, averaged within a seed, then over seeds."""
    del preset
    gains = tables["gains"]
    headings = ("setting", "levels apart", "pairs", "gain over the sparser parent (points)", "seeds")
    rows = []
    for setting in gains["setting"].unique():
        for distance, chosen in {"1": gains["distance"] == 1, "2 or more": gains["distance"] > 1}.items():
            those = 100 * gains[chosen & (gains["setting"] == setting)].set_index("seed")["gain"]
            means = those.groupby("seed").mean()
            gain = markdown.spread(means.mean(), means.std(), "+.2f")
            rows.append((setting, distance, str(len(those) // len(means)), gain, str(len(means))))
    return f"**{gains['panel'].iloc[0]}**\n\n{markdown.table(headings, rows)}"


def figure2(options: Options) -> None:
    """Figure 2: linear mode connectivity between consecutive tickets, with rewinding and without."""
    panel = one(options)
    rewound = tickets(options, panel)
    tables = []
    for setting, run in {"rewinding": rewound, "no rewinding": beside(options, panel, "0it", NO_REWINDING)}.items():
        if run:
            tables.append(run.analyze(linear_paths_stage, "linear_paths").assign(setting=setting))
    measured = pd.concat(tables)
    columns = ["seed", "setting", "recalibrated", "pair", "coefficient"]
    long = measured.melt(columns, ["loss", "error"], var_name="metric")
    heights = _barriers(measured).assign(panel=panel.title)
    levels = rewound.results(()).groupby("level")["density"].mean().tolist()
    shown = [
        ("recalibrated statistics", long[long["recalibrated"]]),
        ("mixed statistics", long[~long["recalibrated"]]),
    ]
    figures = {
        "paths": drawing.paths(shown, densities=levels),
        "barriers": drawing.barriers(heights, densities=levels),
    }
    write(options, "figure2", figures, {"paths": measured, "barriers": heights}, describe_barriers)


def _barriers(measured: pd.DataFrame) -> pd.DataFrame:
    """Return every path's barrier, and how far it rises above the worse of its ends."""
    by = ["seed", "setting", "recalibrated", "pair"]
    rows = []
    for key, path in measured.sort_values("coefficient").groupby(by):
        errors = path["error"].to_numpy()
        rise = errors.max() - max(errors[0], errors[-1])
        rows.append((*key, float(pools.barrier(jnp.asarray(errors))), float(rise)))
    return pd.DataFrame(rows, columns=[*by, "barrier", "rise"])


def describe_barriers(tables: Mapping[str, pd.DataFrame], preset: str = "") -> str:
    """Write the barriers, averaged over pairs within a seed, then over seeds."""
    del preset
    heights = tables["barriers"]
    headings = (
        "statistics",
        "setting",
        "barrier, mean over pairs (points)",
        "highest mean of a pair",
        "above the worse end (points)",
    )
    rows = []
    for (recalibrated, setting), group in heights.groupby(["recalibrated", "setting"], sort=False):
        statistics = "recalibrated" if recalibrated else "mixed"
        barrier = _points(group.groupby("seed")["barrier"].mean())
        highest = 100 * group.groupby("pair")["barrier"].mean().max()
        rise = _points(group.groupby("seed")["rise"].mean())
        rows.append((statistics, WORDS[setting], barrier, f"{highest:.2f}", rise))
    table = markdown.table(headings, rows)
    return f"**{heights['panel'].iloc[0]}**\n\n{table}\n\n{_difference(heights)}"


def _points(seeds: pd.Series) -> str:
    return markdown.spread(100 * seeds.mean(), 100 * seeds.std(), ".2f")


def _difference(heights: pd.DataFrame) -> str:
    """Compare the two settings within a seed, recalibrated as everywhere else."""
    fresh = heights[heights["recalibrated"]].groupby(["setting", "seed"])["barrier"].mean().unstack("seed")
    if len(fresh) < len(WORDS):
        return "There are no tickets found without rewinding to compare with."
    less = fresh.loc["no rewinding"] - fresh.loc["rewinding"]
    return (
        f"With recalibrated statistics, barriers without rewinding minus those with it: {_points(less)} points; "
        f"above zero in {(less > 0).sum()} of {len(less)} seeds."
    )
