"""Figures, drawn from what lies in a work directory."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from lpjax.report import tables

# Okabe and Ito's palette, told apart by colour-blind readers too.
COLOURS = {
    "ticket": "#555555",
    "recalibrated": "#999999",
    "interpolation": "#D55E00",
    "average": "#0072B2",
    "swa": "#009E73",
    "ema_decay": "#CC79A7",
    "ema_newest": "#E69F00",
    "uniform": "#56B4E9",
    "best_single": "#000000",
}
MARKERS = dict(zip(COLOURS, "os^vDP*Xd", strict=True))
MAIN = ("ticket", "recalibrated", "interpolation", "average")


def accuracy(results: pd.DataFrame, chosen: Iterable[str]) -> Figure:
    """Draws test accuracy against density, mean and standard deviation over seeds.

    Args:
      results: From `tables.read`.
      chosen: Methods to draw, where they were measured.

    Returns:
      The figure.
    """
    figure, (axes,) = _panels(1)
    table = tables.by_level(results)
    for method in chosen:
        if method in table:
            _line(axes, results, table[method], method)
    dense = table["ticket"].groupby("level").mean().iloc[0]
    axes.axhline(dense, color=COLOURS["ticket"], linewidth=0.8, linestyle=":", zorder=1)
    axes.annotate("dense", (1, dense), xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8)
    axes.set_ylabel("test accuracy")
    axes.legend(frameon=False, fontsize=8)
    return figure


def gains(results: pd.DataFrame) -> Figure:
    """Draws what pools gain over tickets, and over recalibrated tickets, in points of test accuracy.

    Args:
      results: From `tables.read`.

    Returns:
      The figure.
    """
    table = tables.by_level(results)
    bases = [base for base in ("ticket", "recalibrated") if base in table]
    figure, panels = _panels(len(bases))
    for axes, base in zip(panels, bases, strict=True):
        for method in ("interpolation", "average", "swa"):
            if method in table:
                _line(axes, results, 100 * (table[method] - table[base]), method)
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_title(f"over the {base}" if base == "ticket" else "over the recalibrated ticket", fontsize=9)
        axes.set_ylabel("gain in test accuracy (points)")
    if panels[0].lines[1:]:
        panels[0].legend(frameon=False, fontsize=8)
    return figure


def coefficients(traces: list[dict[str, Any]]) -> Figure:
    """Draws which newcomers each anchor accepted, and at which coefficient.

    Args:
      traces: The `trace.json` of one method and seed, one an anchor.

    Returns:
      The figure: accepted trials in colour, rejected ones crossed, untried ones empty.
    """
    size = 1 + max(max(t["anchor"], *(trial["newcomer"] for trial in t["trials"])) for t in traces)
    chosen = np.full((size, size), np.nan)
    figure = Figure(figsize=(1.6 + 0.36 * size, 1.2 + 0.36 * size), layout="constrained")
    axes = figure.subplots()
    for trace in traces:
        for trial in trace["trials"]:
            here = trial["newcomer"], trace["anchor"]
            if not trial["accepted"]:
                axes.text(*here, "×", ha="center", va="center", color="#888888", fontsize=8)
                continue
            chosen[trace["anchor"], trial["newcomer"]] = trial["coefficient"]
            ink = "white" if trial["coefficient"] > 0.5 else "black"
            axes.text(*here, f"{trial['coefficient']:.2g}".lstrip("0"), ha="center", va="center", color=ink, fontsize=6)
    image = axes.imshow(chosen, vmin=0, vmax=1, cmap="YlOrBr")
    axes.set_xticks(range(size))
    axes.set_yticks(range(size))
    axes.tick_params(labelsize=7)
    axes.set_xlabel("newcomer's level")
    axes.set_ylabel("anchor's level")
    figure.colorbar(image, ax=axes, shrink=0.8).set_label("coefficient of the newcomer", fontsize=8)
    return figure


def training(epochs: dict[int, list[dict[str, Any]]]) -> Figure:
    """Draws validation accuracy by epoch, a line a level.

    Args:
      epochs: The `metrics.jsonl` of one seed's levels.

    Returns:
      The figure.
    """
    figure, (axes,) = _panels(1)
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, len(epochs)))
    for colour, (level, rows) in zip(colours, sorted(epochs.items()), strict=True):
        x = [row["epoch"] for row in rows]
        axes.plot(x, [row["validation_accuracy"] for row in rows], color=colour, linewidth=1, label=f"level {level}")
    axes.set_xlabel("epoch of the schedule")
    axes.set_ylabel("validation accuracy")
    axes.legend(frameon=False, fontsize=7, ncols=math.ceil(len(epochs) / 7))
    return figure


def save(figure: Figure, directory: Path, name: str) -> Path:
    """Writes a figure as PNG and PDF, the same bytes for the same figure.

    Args:
      figure: The figure.
      directory: Created if need be.
      name: File name without ending.

    Returns:
      The PNG.
    """
    directory.mkdir(parents=True, exist_ok=True)
    figure.savefig(directory / f"{name}.pdf", metadata={"CreationDate": None, "Creator": None, "Producer": None})
    path = directory / f"{name}.png"
    figure.savefig(path, dpi=160, metadata={"Software": None})
    return path


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(0.8 + 4.2 * count, 3.4), layout="constrained")
    panels = list(figure.subplots(1, count, squeeze=False)[0])
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", linewidth=0.4, alpha=0.5)
    return figure, panels


def _line(axes: Axes, results: pd.DataFrame, values: pd.Series, method: str) -> None:
    statistics = values.dropna().groupby("level").agg(["mean", "std"]).fillna(0)
    x = results.groupby("level")["density"].first()[statistics.index].to_numpy()
    mean, std = statistics["mean"].to_numpy(), statistics["std"].to_numpy()
    label = method.replace("_", " ")
    axes.plot(x, mean, color=COLOURS[method], marker=MARKERS[method], markersize=3.5, linewidth=1.2, label=label)
    axes.fill_between(x, mean - std, mean + std, color=COLOURS[method], alpha=0.15, linewidth=0)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(list(x[:: max(1, len(x) // 6)])))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda density, _: f"{density:.3g}"))
    axes.set_xlim(max(x) * 1.05, min(x) / 1.05)
    axes.set_xlabel("density")
