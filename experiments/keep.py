"""Keeps what a finished run shows: its numbers, its figures, where it ran; and prints its table for a README.

Command: python -m experiments.keep runs/demo experiments/digits_resnet8
"""

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np

from experiments import markdown
from experiments.lottery_pools.runs import Run
from experiments.options import config_of, own
from lpjax.metrics import crossed_bootstrap
from lpjax.report import paired, reading, tables
from lpjax.run.config import resolve
from lpjax.run.saved import TICKET
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
    run = Run("", prepare(resolve(config)), options.workdir, tuple(config.seeds), config.imp.levels)
    right = run.right(sorted(set(results["method"]) - {TICKET}))
    lines = []
    for row in tables.rows(results):
        cells = [row.method, _cell(row.accuracy, 1, ".4f")]
        for base, gain in (("ticket", row.gain), ("recalibrated", row.control_gain)):
            cells.append(_cell(gain, 100, "+.2f"))
            cells.append("" if gain is None else _interval(run, right, row.method, base))
        lines.append([*cells, _cell(row.gap, 100, "+.2f")])
    print(markdown.table(HEADINGS, lines))


def _interval(run: Run, right: paired.Right, method: str, base: str) -> str:
    """Write the interval of a difference of test accuracies, over seeds and images, of the mean over levels."""
    sides = []
    for name in (method, base):
        sides.append(np.array([[right[name, seed, level] for level in range(run.levels)] for seed in run.seeds]))
    _, low, high = crossed_bootstrap(*sides)
    return f"{100 * low:+.2f} to {100 * high:+.2f}"


def _cell(spread: tables.Spread | None, scale: float, form: str) -> str:
    if spread is None:
        return ""
    std = None if spread.std is None else scale * spread.std
    return markdown.spread(scale * spread.mean, std, form)


if __name__ == "__main__":
    main(sys.argv[1:])
