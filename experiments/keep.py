"""Keeps what a finished run shows: its numbers, its figures, where it ran; and prints its table for a README.

Command: python -m experiments.keep runs/demo experiments/digits_resnet8
"""

import argparse
import shutil
import sys
from pathlib import Path

from experiments import markdown
from lpjax.report import reading, tables
from lpjax.store import paths

FIGURES = ("accuracy", "gains", "baselines", "coefficients")
HEADINGS = (
    "method",
    "test accuracy",
    "over tickets (points)",
    "over recalibrated (points)",
    "validation - test (points)",
)


def main(argv: list[str]) -> None:
    """Copy results, environment and figures, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdir", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(argv)
    options.folder.mkdir(parents=True, exist_ok=True)
    sources = [paths.results(options.workdir), paths.environment(options.workdir)]
    sources += [paths.figures(options.workdir) / f"{name}.png" for name in FIGURES]
    for source in sources:
        if source.exists():
            shutil.copy(source, options.folder / source.name)
    rows = tables.rows(reading.results(options.workdir))
    print(markdown.table(HEADINGS, [_cells(row) for row in rows]))


def _cells(row: tables.Row) -> list[str]:
    differences = [_cell(spread, 100, "+.2f") for spread in (row.gain, row.control_gain, row.gap)]
    return [row.method, _cell(row.accuracy, 1, ".4f"), *differences]


def _cell(spread: tables.Spread | None, scale: float, form: str) -> str:
    if spread is None:
        return ""
    std = None if spread.std is None else scale * spread.std
    return markdown.spread(scale * spread.mean, std, form)


if __name__ == "__main__":
    main(sys.argv[1:])
