"""The figure that most of the paper's are: accuracy against density, methods compared image by image."""

from collections.abc import Mapping, Sequence

import pandas as pd

from experiments.keeping import write
from experiments.lottery_pools.runs import Run
from experiments.options import Options
from lpjax.report import paired, panels
from lpjax.run.pools import Search

CONTROL = "recalibrated"


def comparison(
    options: Options,
    name: str,
    runs: Sequence[Run],
    methods: Sequence[str],
    *,
    questions: Sequence[tuple[str, str]] = (),
    labels: Mapping[str, str] | None = None,
) -> None:
    """Draws accuracy against density for several methods, and compares them image by image.

    Every method is compared with the tickets and, since pools are recalibrated and plain tickets are not, with the
    recalibrated tickets; further pairs are the figure's own questions.

    Args:
      options: What was asked for.
      name: The experiment's folder.
      runs: One a panel; the pools are there.
      methods: Curves to draw, the tickets first.
      questions: Further pairs to compare, the first less the second.
      labels: Names in the legend, by method, instead of their own.
    """
    _, *merged = methods
    pairs = [(method, base) for base in ("ticket", CONTROL) for method in merged]
    pairs = [(CONTROL, "ticket"), *pairs, *questions]
    statistics, measured, parts, panel = [], [], [], []
    for run in runs:
        run.build({CONTROL: Search(CONTROL)})
        results = run.results((CONTROL, *merged))
        there = set(results["method"])
        right = run.right([method for method in (CONTROL, *merged) if method in there])
        compared = [paired.compare(results, right, *pair) for pair in pairs if there >= set(pair)]
        statistics.append(paired.frame([row for rows in compared for row in rows]).assign(panel=run.title))
        measured.append(results.assign(panel=run.title))
        parts.append(f"**{run.title}**\n\n{paired.markdown(compared, labels)}")
        panel.append((run.title, results))
    figure = panels.panels(panel, methods, dense=True, labels=labels)
    tables = {"results": pd.concat(measured), "statistics": pd.concat(statistics)}
    write(options, name, {"accuracy": figure}, tables, "\n\n".join(parts))
