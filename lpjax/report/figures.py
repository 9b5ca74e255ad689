"""All figures of a report, drawn from whatever a work directory holds by now."""

import io
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from lpjax import store
from lpjax.report import arms, pooled, reading, sparse, style, vector
from lpjax.store import paths

MAIN = ("ticket", "recalibrated", "interpolation", "average")


class Drawing(NamedTuple):
    """A figure as SVG elements of a page."""

    wide: str  # for a screen
    narrow: str  # for a phone


def draw(workdir: Path, results: pd.DataFrame, directory: Path) -> dict[str, Drawing]:
    """Draw every figure that there is something to draw for, and write it to `directory` as NAME.png and NAME.pdf.

    Returns every figure for a page, by name: `accuracy`, `gains`, `baselines`, `coefficients`, `training`; of a sparse
    run `superposed`, `training`, `masks`.
    """
    with matplotlib.rc_context(style.SETTINGS):
        wide = _figures(workdir, results, narrow=False)
        narrow = _figures(workdir, results, narrow=True)
        for name, figure in wide.items():
            save(figure, directory, name)
        return {
            name: Drawing(vector.svg(figure, name), vector.svg(narrow[name], f"{name} narrow"))
            for name, figure in wide.items()
        }


def _figures(workdir: Path, results: pd.DataFrame, *, narrow: bool) -> dict[str, Figure]:
    if arms.is_sparse(reading.json_or_empty(paths.config(workdir))):
        return sparse.figures(workdir, results, narrow=narrow)
    return _measured(results, narrow=narrow) | _recorded(workdir, narrow=narrow)


def searched(workdir: Path) -> tuple[str, pd.DataFrame]:
    """Find the pool whose coefficients are shown, and its trials: interpolation's, or the next that has selected."""
    for method in ("interpolation", "average", "best_single"):
        trials = reading.trials(workdir, method)
        if len(trials):
            return method, trials
    return "", pd.DataFrame()


@matplotlib.rc_context(style.SETTINGS)
def save(figure: Figure, directory: Path, name: str) -> Path:
    """Write a figure as NAME.png and NAME.pdf, and return the PNG; the same figure gives the same bytes."""
    # Without dates and versions the same figure is the same bytes.
    written: dict[str, dict[str, Any]] = {
        "pdf": {"metadata": {"Creator": None, "Producer": None, "CreationDate": None}},
        "png": {"metadata": {"Software": None}, "dpi": 200},
    }
    for kind, options in written.items():
        drawn = io.BytesIO()  # a full disk in the middle of drawing is not what Matplotlib would say it was
        figure.savefig(drawn, format=kind, **options)
        write_bytes(directory / f"{name}.{kind}", drawn.getvalue())
    return directory / f"{name}.png"


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically. Unlike those of `lpjax.store`, the write starts no device."""
    with store.wrap_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}")
        new.write_bytes(content)
        new.replace(path)


def _measured(results: pd.DataFrame, *, narrow: bool) -> dict[str, Figure]:
    tested = results[(results["split"] == "test") & (results["metric"] == "accuracy") & (results["density"] > 0)]
    measured = set(tested["method"])
    main = style.in_order(measured.intersection(MAIN))
    others = style.in_order(measured.difference(MAIN))
    pools = style.in_order(measured.intersection({"interpolation", "average"}))
    drawn = {}
    if main:
        drawn["accuracy"] = pooled.accuracy(tested, main, narrow=narrow)
    if "ticket" in measured and (pools or others):
        drawn["gains"] = pooled.gains(tested, pools or others, narrow=narrow)
    if others:
        shown = measured.intersection({"ticket", "interpolation", *others})
        drawn["baselines"] = pooled.accuracy(tested, style.in_order(shown), narrow=narrow)
    return drawn


def _recorded(workdir: Path, *, narrow: bool) -> dict[str, Figure]:
    drawn = {}
    _, trials = searched(workdir)
    if len(trials):
        drawn["coefficients"] = pooled.coefficients(trials, narrow=narrow)
    epochs = reading.epochs(workdir)
    if len(epochs):
        drawn["training"] = pooled.training(epochs[epochs["seed"] == epochs["seed"].min()], narrow=narrow)
    return drawn
