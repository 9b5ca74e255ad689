"""Figure 3: ways to average cheap tickets.

Command: python -m experiments.sup_tickets.figure3 --preset=demo
"""

import re
from collections.abc import Sequence

import pandas as pd

from experiments.keeping import write
from experiments.options import Options
from experiments.sup_tickets import drawing, pairs, variants, words
from experiments.sup_tickets.paper import CIFAR100, main, panels, sparsities
from experiments.sup_tickets.runs import BASE, SUP, Run, find
from lpjax.report import style
from lpjax.run import run_stages
from lpjax.run.evaluate import evaluation_stage
from lpjax.run.superpose import superpose_stage

DECAYS = (0.9, 0.8, 0.5, 0.2, 0.1)
AVERAGES = {SUP: "CIA", "caa": "CAA", **{f"cima_{decay}": f"CIMA {decay}" for decay in DECAYS}}
"""How the superpositions are shown, by the name of their folder."""
LOOKS = {name: style.look(name) for name in (SUP, "caa", "cima", BASE)}


def make(options: Options) -> None:
    """Measure, draw and write."""
    runs = find(options, panels(options, CIFAR100), variants.METHODS, sparsities(options))
    rows = []
    for run in runs:
        _superpose(run)
        for name, title in {**AVERAGES, BASE: "base network"}.items():
            rows.append((run.labels | {"average": title}, pairs.compare(run.answers(name), run.answers(SUP))))
    table = pairs.frame(rows)
    points = _points(runs)
    figures = {}
    for network, of in points.groupby("network", sort=False):
        panel = [(f"sparsity {words.plain(sparsity)}", part) for sparsity, part in of.groupby("sparsity", sort=False)]
        name = re.sub(r"\W+", "_", f"averages {network}".lower())
        figures[name] = drawing.curves(panel, LOOKS, "decay of CIMA", "test accuracy (%)")
    shown = words.comparisons(table, (*words.LABELS, "average"), "accuracy", "CIA")
    text = f"{shown}\n\nBest first, by mean:\n\n{words.orders(table, words.LABELS, 'average')}"
    write(options, "figure3", figures, {"pairs": table, "accuracies": points}, text)


def _superpose(run: Run) -> None:
    """Average the cheap tickets that the run kept in every way that is not there yet; nothing is trained."""
    config = run.setup.config
    stages = []
    for seed in run.seeds:
        for kind in (SUP, "caa"):
            stages.append(superpose_stage(config, run.workdir, seed, run.tickets, kind))
        for decay in DECAYS:
            name = f"cima_{decay}"
            stages.append(superpose_stage(config, run.workdir, seed, run.tickets, name, kind="cima", decay=decay))
        stages.append(evaluation_stage(run.workdir, seed, range(1 + run.tickets), tuple(AVERAGES)))
    run_stages(run.setup, run.workdir, stages)


def _points(runs: Sequence[Run]) -> pd.DataFrame:
    """Return accuracies by decay; what has none stays the same all along."""
    rows = []
    for run in runs:
        for curve in LOOKS:
            for decay in sorted(DECAYS):
                measured = run.measured(f"cima_{decay}" if curve == "cima" else curve, "accuracy")
                rows += pairs.per_seed({**run.labels, "curve": curve, "x": decay}, measured)
    points = pd.DataFrame(rows)
    return points.assign(value=100 * points["value"])


if __name__ == "__main__":
    main(make, __doc__)
