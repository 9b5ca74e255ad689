"""Figure 3: ways to average cheap tickets.

Command: python -m experiments.sup_tickets.figure3 --preset=demo
"""

import re
from collections.abc import Sequence

import pandas as pd

from experiments.keeping import write
from experiments.options import Options
from experiments.sup_tickets import drawing, pairs, variants, words
from experiments.sup_tickets.paper import RESNET50, SMALL, SPARSITIES, VGG16, by_preset, main, panels
from experiments.sup_tickets.runs import BASE, SUP, Run, find
from lpjax import pools
from lpjax.report import style
from lpjax.run.evaluate import evaluate_seed
from lpjax.run.processes import alone
from lpjax.run.superposed import superpose_tickets

DECAYS = (0.9, 0.8, 0.5, 0.2, 0.1)
AVERAGES = {SUP: "CIA", "caa": "CAA", **{f"cima_{decay}": f"CIMA {decay}" for decay in DECAYS}}
"""How the superpositions are shown, by the name of their folder."""
LOOKS = {name: style.look(name) for name in (SUP, "caa", "cima", BASE)}


def make(options: Options) -> None:
    """Measures, draws and writes.

    Args:
      options: What was asked for.
    """
    shown = panels(options, {**SMALL, "paper": (VGG16[1], RESNET50[1])})
    runs = find(options, shown, variants.METHODS, by_preset(options, SPARSITIES, variants.SPARSITIES))
    for run in runs:
        _superpose(run)
    rows = [
        (run.labels | {"average": title}, pairs.compare(run.answers(name), run.answers(SUP)))
        for run in runs
        for name, title in {**AVERAGES, BASE: "base network"}.items()
    ]
    table, points = pairs.frame(rows), _points(runs)
    figures = {
        re.sub(r"\W+", "_", f"averages {network}".lower()): drawing.curves(
            [(f"sparsity {words.plain(sparsity)}", part) for sparsity, part in of.groupby("sparsity", sort=False)],
            LOOKS,
            "decay of CIMA",
            "test accuracy (%)",
        )
        for network, of in points.groupby("network", sort=False)
    }
    shown_text = words.comparisons(table, (*words.LABELS, "average"), "accuracy", "CIA")
    text = f"{shown_text}\n\nBest first, by mean:\n\n{words.orders(table, words.LABELS, 'average')}"
    write(options, "figure3", figures, {"pairs": table, "accuracies": points}, text)


def _superpose(run: Run) -> None:
    """Averages the cheap tickets that the run kept in every way that is not there yet; nothing is trained."""
    settings = run.job.config.superpose
    choices = {"prune": settings.prune, "scope": settings.scope}
    ways = {f"cima_{decay}": pools.superpose("cima", decay=decay, **choices) for decay in DECAYS}
    ways |= {kind: pools.superpose(kind, **choices) for kind in (SUP, "caa")}
    with alone(run.workdir):
        for seed in run.seeds:
            superpose_tickets(run.job, run.workdir, seed, ways)
            evaluate_seed(run.job, run.workdir, seed, tuple(ways))


def _points(runs: Sequence[Run]) -> pd.DataFrame:
    """Gives accuracies by decay; what has none stays the same all along."""
    rows = [
        {**run.labels, "curve": curve, "x": decay, "seed": seed, "value": 100 * value}
        for run in runs
        for curve in LOOKS
        for decay in sorted(DECAYS)
        for seed, value in run.measured(f"cima_{decay}" if curve == "cima" else curve, "accuracy").items()
    ]
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main(make, __doc__)
