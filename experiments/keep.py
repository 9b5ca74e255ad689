"""Keeps what a finished run shows: its numbers, its figures, where it ran; and prints its table for a README.

Command: python -m experiments.keep runs/demo experiments/digits_resnet8
"""

import argparse
import shutil
import sys
from pathlib import Path

from lpjax.report import reading, tables
from lpjax.store import paths

FIGURES = ("accuracy", "gains", "baselines", "coefficients")


def main(argv: list[str]) -> None:
    """Copies results, environment and figures, and prints a Markdown table.

    Args:
      argv: Command-line arguments.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workdir", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(argv)
    options.folder.mkdir(parents=True, exist_ok=True)
    figures = (paths.figures(options.workdir) / f"{name}.png" for name in FIGURES)
    records = (paths.results, paths.environment)
    for source in (*(record(options.workdir) for record in records), *figures):
        if source.exists():
            shutil.copy(source, options.folder / source.name)
    print(markdown(tables.rows(reading.results(options.workdir))))


def markdown(rows: list[tables.Row]) -> str:
    """Writes the rows of a table in Markdown: fractions for accuracy, points (hundredths) for differences.

    Args:
      rows: One a method.

    Returns:
      The table.
    """
    head = (
        "| method | test accuracy | over tickets (points) | over recalibrated (points) | validation - test (points) |"
    )
    body = [
        f"| {row.method} | {_cell(row.accuracy, 1, '.4f')} | {_cell(row.gain, 100, '+.2f')} | "
        f"{_cell(row.control_gain, 100, '+.2f')} | {_cell(row.gap, 100, '+.2f')} |"
        for row in rows
    ]
    return "\n".join([head, "|---|---|---|---|---|", *body])


def _cell(spread: tables.Spread | None, scale: float, form: str) -> str:
    if spread is None:
        return ""
    std = "" if spread.std is None else f" ± {scale * spread.std:{form.lstrip('+')}}"
    return f"{scale * spread.mean:{form}}{std}"


if __name__ == "__main__":
    main(sys.argv[1:])
