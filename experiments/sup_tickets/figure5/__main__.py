"""Figure 5: calibration error and likelihood of RigL, alone and with Sup-tickets.

Command: python -m experiments.sup_tickets.figure5 --preset=demo
"""

import pandas as pd

from experiments.keeping import write
from experiments.options import Options
from experiments.sup_tickets import drawing, pairs, variants, words
from experiments.sup_tickets.paper import CIFAR100, main, panels, sparsities
from experiments.sup_tickets.runs import BASE, SUP, find
from lpjax.report import style

METRICS = {"ece": "calibration error", "nll": "likelihood (nats, negative log)"}
ARMS = {"RigL": BASE, "RigL with Sup-tickets": SUP}
LOOKS = {name: style.look(made)._replace(name=name) for name, made in ARMS.items()}
COLUMNS = words.named((*words.LABELS, "metric")) | {
    "alone": words.spread("base"),
    "with Sup-tickets": words.spread("value"),
    "difference": words.spread("difference"),
    "95 % over seeds": lambda row: "" if row["seeds"] == 1 else f"{row['low']:+.4f} to {row['high']:+.4f}",
    "seeds lower, higher": lambda row: f"{row['below']}, {row['above']} of {row['seeds']}",
}


def make(options: Options) -> None:
    """Measure, draw and write."""
    runs = find(options, panels(options, CIFAR100), variants.METHODS, sparsities(options))
    rows = []
    measured = []
    for run in runs:
        for metric, title in METRICS.items():
            pair = pairs.compare_values(run.measured(SUP, metric), run.measured(BASE, metric))
            rows.append((run.labels | {"metric": metric}, pair))
            for curve, made in ARMS.items():
                labels = {"panel": f"{run.network}: {title}", "x": words.plain(run.sparsity), "curve": curve}
                measured += pairs.per_seed(labels, run.measured(made, metric))
    table = pairs.frame(rows)
    points = pd.DataFrame(measured)
    panel = [(str(key), part) for key, part in points.groupby("panel", sort=False)]
    figure = drawing.curves(panel, LOOKS, "sparsity", "the lower the better")
    tables = {"pairs": table, "measures": points}
    write(options, "figure5", {"uncertainty": figure}, tables, words.table(table, COLUMNS))


if __name__ == "__main__":
    main(make, __doc__)
