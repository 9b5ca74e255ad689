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
    searches: Mapping[str, Search],
    *,
    others: Sequence[str] = (),
    questions: Sequence[tuple[str, str]] = (),
    labels: Mapping[str, str] | None = None,
) -> None:
    """Draw accuracy against density for several methods, and compare them image by image.

    Every method is compared with the tickets and, since pools are recalibrated and plain tickets are not, with the
    recalibrated tickets; further pairs are the figure's own questions.

    Args:
      options: What was asked for.
      name: The experiment's folder.
      runs: One per panel.
      searches: Pools to build and to draw, by name.
      others: Further methods to draw, which are evaluated already.
      questions: Further pairs to compare, the first less the second.
      labels: Names in the legend, by method, instead of their own.
    """
    merged = (*searches, *others)
    pairs = [(CONTROL, "ticket")]
    for base in ("ticket", CONTROL):
        pairs += [(method, base) for method in merged]
    pairs += questions
    statistics, measured, parts, curves = [], [], [], []
    for run in runs:
        run.build({CONTROL: Search(CONTROL), **searches})
        results = run.results((CONTROL, *merged))
        there = set(results["method"])
        right = run.right([method for method in (CONTROL, *merged) if method in there])
        compared = [paired.compare(results, right, *pair) for pair in pairs if there >= set(pair)]
        for pair in compared:
            statistics.append(paired.frame(pair).assign(panel=run.title))
        measured.append(results.assign(panel=run.title))
        parts.append(f"**{run.title}**\n\n{paired.markdown(compared, labels)}")
        curves.append((run.title, results))
    figure = panels.panels(curves, ("ticket", *merged), dense=True, labels=labels)
    tables = {"results": pd.concat(measured), "statistics": pd.concat(statistics)}
    write(options, name, {"accuracy": figure}, tables, "\n\n".join(parts))
