"""All figures of a report, drawn from whatever a work directory holds by now."""

import io
from collections.abc import Callable
from functools import partial
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
    if arms.is_sparse(store.read_json_or_empty(paths.config(workdir))):
        ways = sparse.figures(workdir, results)
    else:
        ways = _measured(results) | _recorded(workdir)
    drawings = {}
    with matplotlib.rc_context(style.SETTINGS):
        for name, way in ways.items():
            wide = way(narrow=False)
            save(wide, directory, name)
            drawings[name] = Drawing(vector.svg(wide, name), vector.svg(way(narrow=True), f"{name} narrow"))
    return drawings


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


def _measured(results: pd.DataFrame) -> dict[str, Callable[..., Figure]]:
    tested = results[(results["split"] == "test") & (results["metric"] == "accuracy") & (results["density"] > 0)]
    measured = set(tested["method"])
    main = style.in_order(measured.intersection(MAIN))
    others = style.in_order(measured.difference(MAIN))
    pools = style.in_order(measured.intersection({"interpolation", "average"}))
    drawn: dict[str, Callable[..., Figure]] = {}
    if main:
        drawn["accuracy"] = partial(pooled.accuracy, tested, main)
    if "ticket" in measured and (pools or others):
        drawn["gains"] = partial(pooled.gains, tested, pools or others)
    if others:
        shown = measured.intersection({"ticket", "interpolation", *others})
        drawn["baselines"] = partial(pooled.accuracy, tested, style.in_order(shown))
    return drawn


def _recorded(workdir: Path) -> dict[str, Callable[..., Figure]]:
    drawn: dict[str, Callable[..., Figure]] = {}
    _, trials = searched(workdir)
    if len(trials):
        drawn["coefficients"] = partial(pooled.coefficients, trials)
    epochs = reading.epochs(workdir)
    if len(epochs):
        drawn["training"] = partial(pooled.training, epochs[epochs["seed"] == epochs["seed"].min()])
    return drawn
