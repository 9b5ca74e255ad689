"""Keeps what a finished run shows: its numbers, its figures, where it ran; and prints its table for a README.

Command: python -m experiments.keep runs/demo experiments/digits_resnet8
"""

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from experiments import markdown
from experiments.options import config_of, own
from lpjax.metrics import crossed_bootstrap
from lpjax.report import reading, tables
from lpjax.run.config import resolve
from lpjax.run.evaluate import load_right
from lpjax.run.setup import prepare
from lpjax.store import paths

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
    results = reading.results(options.workdir)
    config = config_of(own(options.workdir, None))
    images = len(prepare(resolve(config)).data.test.labels)
    lines = []
    for row in tables.rows(results):
        cells = [row.method, _cell(row.accuracy, 1, ".4f")]
        for base, gain in (("ticket", row.gain), ("recalibrated", row.control_gain)):
            cells.append(_cell(gain, 100, "+.2f"))
            cells.append("" if gain is None else _interval(options.workdir, results, row.method, base, images))
        lines.append([*cells, _cell(row.gap, 100, "+.2f")])
    print(markdown.table(HEADINGS, lines))


def _interval(workdir: Path, results: pd.DataFrame, method: str, base: str, images: int) -> str:
    """Write the interval of a difference of test accuracies, over seeds and images, of the mean over levels."""
    seeds = sorted(set(results["seed"]))
    levels = sorted(set(results["level"]))
    sides = []
    for name in (method, base):
        directories = [[_directory(workdir, seed, level, name) for level in levels] for seed in seeds]
        sides.append(np.array([[load_right(place, images) for place in row] for row in directories]))
    _, low, high = crossed_bootstrap(*sides)
    return f"{100 * low:+.2f} to {100 * high:+.2f}"


def _directory(workdir: Path, seed: int, level: int, method: str) -> Path:
    if method == "ticket":
        return paths.level(workdir, seed, level)
    return paths.pool(workdir, seed, method, level)


def _cell(spread: tables.Spread | None, scale: float, form: str) -> str:
    if spread is None:
        return ""
    std = None if spread.std is None else scale * spread.std
    return markdown.spread(scale * spread.mean, std, form)


if __name__ == "__main__":
    main(sys.argv[1:])
