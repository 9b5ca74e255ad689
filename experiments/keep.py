"""Copies results and figures of a finished run into a folder of experiments/, and writes its tables into the README.

Command: python -m experiments.keep runs/demo experiments/digits_resnet8
"""

import argparse
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from experiments import markdown
from experiments.keeping import read, replace_between
from experiments.lottery_pools.comparisons import CONTROL
from experiments.lottery_pools.runs import finished
from lpjax.report import paired, reading, tables
from lpjax.run.saved import TICKET
from lpjax.store import paths

POOL = "interpolation"
SINGLE = "best_single"
RESULTS = "results"
"""The name of the marks in the README."""
FIGURES = ("accuracy", "gains", "baselines", "coefficients")
HEADINGS = (
    "method",
    "test accuracy",
    "over tickets (points)",
    "95 % over seeds and images",
    "over recalibrated (points)",
    "95 % over seeds and images",
    "validation - test (points)",
)


def main(argv: list[str]) -> None:
    """Copy results, environment and figures, compare methods, and write a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdir", type=Path)
    parser.add_argument("folder", type=Path, help="where they go")
    options = parser.parse_args(argv)
    readme = options.folder / "README.md"
    if not readme.exists():
        parser.error(f"{readme}: not found; write it, with the lines <!-- {RESULTS} --> and <!-- end of {RESULTS} -->")
    sources = [paths.results(options.workdir), paths.environment(options.workdir)]
    sources += [paths.figures(options.workdir) / f"{name}.png" for name in FIGURES]
    for source in sources:
        if source.exists():
            shutil.copy(source, options.folder / source.name)
    statistics(options.workdir).to_csv(options.folder / "statistics.csv", index=False, lineterminator="\n")
    text = describe(read(options.folder))
    replace_between(readme, RESULTS, text)
    print(text)


def statistics(workdir: Path) -> pd.DataFrame:
    """Compare all pools with tickets and recalibrated tickets, and interpolation with the best single ticket."""
    results = reading.results(workdir)
    run = finished(workdir)
    methods = [row.method for row in tables.rows(results) if row.method != TICKET]
    right = run.right(methods)
    pairs = [(method, TICKET) for method in methods]
    pairs += [(method, CONTROL) for method in methods if method != CONTROL]
    pairs.append((POOL, SINGLE))
    there = {TICKET, *methods}
    compared = []
    for method, base in pairs:
        if {method, base} <= there:
            compared.append(paired.frame(paired.compare(results, right, method, base)))
    return pd.concat(compared)


def describe(kept: Mapping[str, pd.DataFrame], preset: str = "") -> str:
    """Write a row per method, means over levels and seeds; then what interpolation gains at every density."""
    del preset
    overall = kept["statistics"][kept["statistics"]["level"].isna()]
    compared = {(row.method, row.base): row for row in paired.from_frame(overall)}
    lines = []
    for row in tables.rows(kept["results"]):
        accuracy = row.accuracy
        cells = [row.method, "" if accuracy is None else markdown.spread(accuracy.mean, accuracy.std, ".4f")]
        for base in (TICKET, CONTROL):
            cells += _difference(compared.get((row.method, base)))
        gap = row.gap
        cells.append("" if gap is None else markdown.points(gap.mean, gap.std))
        lines.append(cells)
    return f"{markdown.table(HEADINGS, lines)}\n\n{_by_density(kept['statistics'])}"


def _by_density(statistics: pd.DataFrame) -> str:
    """Write what interpolation gains over the tickets of each level."""
    rows = []
    for row in paired.from_frame(statistics):
        if (row.method, row.base) == (POOL, TICKET) and row.level is not None:
            rows.append([f"{row.density:.3g}", *_difference(row)])
    return markdown.table(("density", "interpolation over tickets (points)", "95 % over seeds and images"), rows)


def _difference(pair: paired.Comparison | None) -> list[str]:
    if pair is None:
        return ["", ""]
    return [markdown.points(pair.difference, pair.std), markdown.interval(pair.low, pair.high)]


if __name__ == "__main__":
    main(sys.argv[1:])
