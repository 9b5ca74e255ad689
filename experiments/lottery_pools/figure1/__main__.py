"""Figure 1: test accuracy of averaged pairs of tickets, with rewinding and without.

Command: python -m experiments.lottery_pools.figure1 --preset=demo
"""

import pandas as pd

from experiments import markdown
from experiments.keeping import write
from experiments.lottery_pools.paper import main, one
from experiments.lottery_pools.runs import tickets, twin
from experiments.options import Options
from lpjax.report import heatmap
from lpjax.run.connectivity import averaged_pairs_stage


def make(options: Options) -> None:
    """Measure, draw and write."""
    panel = one(options)
    runs = {"with rewinding": tickets(options, panel), "without rewinding": twin(options, panel)}
    tables = {setting: run.analyze(averaged_pairs_stage, "averaged_pairs") for setting, run in runs.items() if run}
    gains = pd.concat([_gains(table).assign(setting=setting) for setting, table in tables.items()])
    pairs = pd.concat([table.assign(setting=setting) for setting, table in tables.items()])
    figure = heatmap.pairs(list(tables.items()))
    write(options, "figure1", {"pairs": figure}, {"pairs": pairs, "gains": gains}, _text(panel.title, gains))


def _gains(pairs: pd.DataFrame) -> pd.DataFrame:
    """Subtract from every pair's accuracy that of its sparser parent, whose density it has."""
    parents = pairs[pairs["first"] == pairs["second"]].set_index(["seed", "second"])["accuracy"]
    mixed = pairs[pairs["first"] < pairs["second"]]
    parent = parents.loc[pd.MultiIndex.from_frame(mixed[["seed", "second"]])].to_numpy()
    return mixed.assign(distance=mixed["second"] - mixed["first"], gain=mixed["accuracy"] - parent)


def _text(title: str, gains: pd.DataFrame) -> str:
    """Average within a seed, then over seeds."""
    headings = ("setting", "levels apart", "pairs", "gain over the sparser parent (points)", "seeds")
    rows = []
    for setting in gains["setting"].unique():
        for distance, chosen in {"1": gains["distance"] == 1, "2 or more": gains["distance"] > 1}.items():
            those = 100 * gains[chosen & (gains["setting"] == setting)].set_index("seed")["gain"]
            means = those.groupby("seed").mean()
            gain = markdown.spread(means.mean(), means.std(), "+.2f")
            rows.append((setting, distance, str(len(those) // len(means)), gain, str(len(means))))
    return f"**{title}**\n\n{markdown.table(headings, rows)}"


if __name__ == "__main__":
    main(make, __doc__)
