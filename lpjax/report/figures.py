"""All figures of a report, drawn from whatever a work directory holds by now."""

import io
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from lpjax.report import arms, reading, sparse, style
from lpjax.report.coefficients import coefficients
from lpjax.report.density import accuracy, gains
from lpjax.report.training import training
from lpjax.store import paths

MAIN = ("ticket", "recalibrated", "interpolation", "average")
_SEARCHES = ("interpolation", "average", "best_single")


def draw(workdir: Path, results: pd.DataFrame, directory: Path) -> dict[str, Path]:
    """Draws and writes every figure that there is something to draw for.

    Args:
      workdir: A run's, finished or not.
      results: Its measurements, as `reading.results` gives them.
      directory: Where the figures go, as NAME.png and NAME.pdf; created if need be.

    Returns:
      The PNG of every figure, by name: `accuracy`, `gains`, `baselines`, `coefficients`, `training`; of a sparse run
      `superposed`, `training`, `masks`.
    """
    with matplotlib.rc_context(style.SETTINGS):
        if arms.is_sparse(reading.json_or_empty(paths.config(workdir))):
            drawn = sparse.figures(workdir, results)
        else:
            drawn = _measured(results) | _recorded(workdir)
        return {name: save(figure, directory, name) for name, figure in drawn.items()}


def searched(workdir: Path) -> tuple[str, pd.DataFrame]:
    """Finds the pool whose coefficients are worth showing: interpolation's, or the next that selects.

    Args:
      workdir: A run's.

    Returns:
      Its name and trials; no trials if no pool has been searched yet.
    """
    found = ((method, reading.trials(workdir, method)) for method in _SEARCHES)
    return next(((method, trials) for method, trials in found if len(trials)), ("", pd.DataFrame()))


def _measured(results: pd.DataFrame) -> dict[str, Figure]:
    tested = results[(results["split"] == "test") & (results["metric"] == "accuracy") & (results["density"] > 0)]
    methods = style.in_order(set(tested["method"]))
    main = [method for method in methods if method in MAIN]
    others = [method for method in methods if method not in MAIN]
    pools = [method for method in main if method in ("interpolation", "average")] or others
    drawn = {}
    if main:
        drawn["accuracy"] = accuracy(tested, main)
    if "ticket" in main and pools:
        drawn["gains"] = gains(tested, pools)
    if others:
        drawn["baselines"] = accuracy(tested, [m for m in methods if m in ("ticket", "interpolation") or m in others])
    return drawn


def _recorded(workdir: Path) -> dict[str, Figure]:
    drawn = {}
    _, trials = searched(workdir)
    if len(trials):
        drawn["coefficients"] = coefficients(trials)
    epochs = reading.epochs(workdir)
    if len(epochs):
        drawn["training"] = training(epochs[epochs["seed"] == epochs["seed"].min()])
    return drawn


@matplotlib.rc_context(style.SETTINGS)
def save(figure: Figure, directory: Path, name: str) -> Path:
    """Writes a figure as NAME.png and NAME.pdf; the same figure gives the same bytes.

    Args:
      figure: What to write.
      directory: Created if need be.
      name: Of the files.

    Returns:
      The path of the PNG.
    """
    directory.mkdir(parents=True, exist_ok=True)
    # Without dates and versions the same figure is the same bytes.
    written: dict[str, dict[str, Any]] = {
        "pdf": {"metadata": {"Creator": None, "Producer": None, "CreationDate": None}},
        "png": {"metadata": {"Software": None}, "dpi": 200},
    }
    for kind, options in written.items():
        drawn = io.BytesIO()  # a full disk in the middle of drawing is not what Matplotlib would say it was
        figure.savefig(drawn, format=kind, **options)
        (directory / f"{name}.{kind}").write_bytes(drawn.getvalue())
    return directory / f"{name}.png"
