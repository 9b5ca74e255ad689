"""Figure 4: few cheap tickets and many, and what each is worth alone.

Command: python -m experiments.sup_tickets.figure4 --preset=demo
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from experiments.keeping import write
from experiments.options import OWN, Options, Panel, config_of
from experiments.sup_tickets import drawing, pairs, variants, words
from experiments.sup_tickets.paper import SMALL, WIDE, main, panels, sparsities
from experiments.sup_tickets.runs import SUP, Run
from lpjax import train
from lpjax.report import style

COUNTS = (2, 4, 7)
LOOKS = {
    "superposed": style.look(SUP)._replace(name="superposed"),
    "cheap tickets": style.look("recalibrated")._replace(name="cheap tickets, mean"),
}


def make(options: Options) -> None:
    """Measure, draw and write."""
    shown = panels(options, {**SMALL, "paper": (WIDE[1],)})
    sparse = (0.95,) if options.preset == "demo" else sparsities(options)
    changes = [] if options.preset == OWN else [_change(shown[0], count) for count in COUNTS]
    runs = variants.find_variants(options, shown, sparse, changes)
    counts = variants.compare(runs, "tickets", lambda run: run.tickets, COUNTS[1])
    rows = []
    for run in runs:
        pair = pairs.compare_values(run.measured(SUP, "accuracy"), run.cheap_mean())
        rows.append((run.labels | {"tickets": run.tickets}, pair))
    each = pairs.frame(rows)
    points = _points(runs)
    panel = [(str(key), part.assign(value=100 * part["value"])) for key, part in points.groupby("panel", sort=False)]
    figure = drawing.curves(panel, LOOKS, "cheap tickets", "test accuracy (%)")
    parts = [
        words.comparisons(each, (*words.LABELS, "tickets"), "superposed", "mean cheap ticket"),
        "Superpositions of so many against one another:",
        variants.text(counts, "tickets", "the first" if options.preset == OWN else f"of {COUNTS[1]}"),
    ]
    tables = {"pairs": each, "counts": counts, "accuracies": points}
    write(options, "figure4", {"counts": figure}, tables, "\n\n".join(parts))


def _change(panel: Panel, count: int) -> tuple[str, Mapping]:
    """Give cycles the share of training that so many take; change nothing where the config has so many already."""
    config = config_of(panel, "rigl,0.95")
    duration = config.train.duration
    settings = config.superpose
    if train.phases(train.steps(duration, 1), settings.share, train.steps(settings.cycle, 1)).cycles == count:
        return "", {}
    return f"{count}_tickets", {"superpose.share": share(duration, settings.cycle, count)}


def share(duration: str, cycle: str, count: int) -> float:
    """Return which share of training a number of cycles needs, halfway to one cycle more: off the edge of one less."""
    return round((count + 0.5) * train.steps(cycle, 1) / train.steps(duration, 1), 6)


def _points(runs: Sequence[Run]) -> pd.DataFrame:
    rows = []
    for run in runs:
        labels = {"panel": f"{run.network}, sparsity {words.plain(run.sparsity)}", "x": run.tickets}
        rows += pairs.per_seed(labels | {"curve": "superposed"}, run.measured(SUP, "accuracy"))
        rows += pairs.per_seed(labels | {"curve": "cheap tickets"}, run.cheap_mean())
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main(make, __doc__)
