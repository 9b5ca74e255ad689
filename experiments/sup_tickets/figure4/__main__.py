"""Figure 4: few cheap tickets and many, and what each is worth alone.

Command: python -m experiments.sup_tickets.figure4 --preset=demo
"""

from collections.abc import Sequence

import pandas as pd

from experiments.keeping import write
from experiments.options import OWN, Options, Panel, config_of
from experiments.sup_tickets import drawing, pairs, variants, words
from experiments.sup_tickets.paper import SMALL, WIDE, by_preset, main, panels
from experiments.sup_tickets.runs import SUP, Run
from lpjax import train
from lpjax.report import style

COUNTS = (2, 4, 7)
SPARSITIES = {"demo": (0.95,)}
LOOKS = {
    "superposed": style.look(SUP)._replace(name="superposed"),
    "cheap tickets": style.look("recalibrated")._replace(name="cheap tickets, mean"),
}


def make(options: Options) -> None:
    """Measures, draws and writes.

    Args:
      options: What was asked for.
    """
    shown = panels(options, {**SMALL, "paper": (WIDE[1],)})
    sparsities = by_preset(options, SPARSITIES, variants.SPARSITIES)
    changes = [] if options.preset == OWN else [_change(shown[0], count) for count in COUNTS]
    runs = variants.find_variants(options, shown, sparsities, changes)
    counts = variants.compare(runs, "tickets", lambda run: run.tickets, COUNTS[1])
    each = pairs.frame([(run.labels | {"tickets": run.tickets}, _against_mean(run)) for run in runs])
    points = _points(runs)
    panel = [(str(key), part.assign(value=100 * part["value"])) for key, part in points.groupby("panel", sort=False)]
    figure = drawing.curves(panel, LOOKS, "cheap tickets", "test accuracy (%)")
    text = "\n\n".join(
        [
            words.comparisons(each, (*words.LABELS, "tickets"), "superposed", "mean cheap ticket"),
            "Superpositions of so many against one another:",
            variants.text(counts, "tickets", "the first" if options.preset == OWN else f"of {COUNTS[1]}"),
        ]
    )
    write(options, "figure4", {"counts": figure}, {"pairs": each, "counts": counts, "accuracies": points}, text)


def _change(panel: Panel, count: int) -> tuple[str, dict]:
    """Gives as much of training to cycles as so many take; nothing where the config has so many already."""
    config = config_of(panel, "rigl,0.95")
    duration, settings = config.train.duration, config.superpose
    if train.phases(train.steps(duration, 1), settings.share, train.steps(settings.cycle, 1)).cycles == count:
        return "", {}
    return f"{count}_tickets", {"superpose.share": share(duration, settings.cycle, count)}


def share(duration: str, cycle: str, count: int) -> float:
    """Tells which share of training a number of cycles needs.

    Args:
      duration: Of training, in epochs.
      cycle: Of one cycle, in epochs.
      count: Cycles.

    Returns:
      The share, halfway to that of one cycle more: off the edge of one less.
    """
    return round((count + 0.5) * train.steps(cycle, 1) / train.steps(duration, 1), 6)


def _against_mean(run: Run) -> pairs.Pair:
    return pairs.compare_values(run.measured(SUP, "accuracy"), run.cheap_mean())


def _points(runs: Sequence[Run]) -> pd.DataFrame:
    rows = [
        {
            "panel": f"{run.network}, sparsity {words.plain(run.sparsity)}",
            "x": run.tickets,
            "curve": curve,
            "seed": seed,
            "value": value,
        }
        for run in runs
        for curve, values in (("superposed", run.measured(SUP, "accuracy")), ("cheap tickets", run.cheap_mean()))
        for seed, value in values.items()
    ]
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main(make, __doc__)
