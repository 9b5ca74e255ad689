"""Figure 5: calibration error and likelihood of RigL, alone and with Sup-tickets.

Command: python -m experiments.sup_tickets.figure5 --preset=demo
"""

from collections.abc import Sequence

import pandas as pd

from experiments.keeping import write
from experiments.options import Options
from experiments.sup_tickets import drawing, pairs, variants, words
from experiments.sup_tickets.paper import RESNET50, SMALL, SPARSITIES, VGG16, by_preset, main, panels
from experiments.sup_tickets.runs import BASE, SUP, Run, find
from lpjax.report import style

METRICS = {"ece": "calibration error", "nll": "likelihood (nats, negative log)"}
ARMS = {"RigL": BASE, "RigL with Sup-tickets": SUP}
LOOKS = {name: style.look(made)._replace(name=name) for name, made in ARMS.items()}


def make(options: Options) -> None:
    """Measures, draws and writes.

    Args:
      options: What was asked for.
    """
    shown = panels(options, {**SMALL, "paper": (VGG16[1], RESNET50[1])})
    runs = find(options, shown, variants.METHODS, by_preset(options, SPARSITIES, variants.SPARSITIES))
    rows = [
        (run.labels | {"metric": metric}, pairs.compare_values(run.measured(SUP, metric), run.measured(BASE, metric)))
        for run in runs
        for metric in METRICS
    ]
    table, points = pairs.frame(rows), _points(runs)
    panel = [(str(key), part) for key, part in points.groupby("panel", sort=False)]
    figure = drawing.curves(panel, LOOKS, "sparsity", "the lower the better")
    text = words.table(
        table,
        words.named((*words.LABELS, "metric"))
        | {
            "alone": words.spread("base"),
            "with Sup-tickets": words.spread("value"),
            "difference": words.spread("difference"),
            "95 % over seeds": lambda row: "" if row["seeds"] == 1 else f"{row['low']:+.4f} to {row['high']:+.4f}",
            "seeds lower, higher": lambda row: f"{row['below']}, {row['above']} of {row['seeds']}",
        },
    )
    write(options, "figure5", {"uncertainty": figure}, {"pairs": table, "measures": points}, text)


def _points(runs: Sequence[Run]) -> pd.DataFrame:
    rows = [
        {
            "panel": f"{run.network}: {title}",
            "x": words.plain(run.sparsity),
            "curve": curve,
            "seed": seed,
            "value": value,
        }
        for run in runs
        for metric, title in METRICS.items()
        for curve, made in ARMS.items()
        for seed, value in run.measured(made, metric).items()
    ]
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main(make, __doc__)
