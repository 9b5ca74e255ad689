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
from lpjax.report import style
from lpjax.run import run_stages
from lpjax.run.evaluate import evaluation_stage
from lpjax.run.superpose import superpose_stage

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
    stages = []
    for seed in run.seeds:
        for name in AVERAGES:
            kind, _, decay = name.partition("_")
            stages.append(
                superpose_stage(
                    run.setup.config,
                    run.workdir,
                    seed,
                    run.tickets,
                    name,
                    kind=kind,
                    decay=float(decay) if decay else None,
                )
            )
        stages.append(evaluation_stage(run.workdir, seed, range(1 + run.tickets), tuple(AVERAGES)))
    run_stages(run.setup, run.workdir, stages)


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
