"""Figures of a run of tickets and pools: accuracy and gains against density, accepted candidates, and training."""

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lpjax.report import style, tables

_REJECTED = ListedColormap(["#DEDEDE"])
_QUIET = "#6A6A6A"
_MOST_NUMBERS = 20
_MOST_TICKS = 10
_DARK = 0.5


def accuracy(results: pd.DataFrame, methods: Sequence[str], *, narrow: bool = False) -> Figure:
    """Draw test accuracy against density, from dense to sparse: mean over seeds, band of one standard deviation.

    References:
      Yin et al., Lottery Pools, AAAI 2023, Figure 3.
    """
    width = style.NARROW if narrow else style.WIDE
    test = 100 * tables.wide(results, "test", "accuracy")
    figure, (axes,) = style.panels(1, width, height=3.5)
    style.dense_line(axes, test)
    style.against_density(axes, test, tables.densities(results), methods, width)
    axes.set_ylabel("test accuracy (%)")
    style.legend(figure, [axes])
    return figure


def gains(results: pd.DataFrame, methods: Sequence[str], *, narrow: bool = False) -> Figure:
    """Draw what pools gain over tickets, and over tickets with recalibrated statistics, one panel for each.

    Differences are taken within a seed, so that the band shows how far the gain itself varies.
    """
    width = style.NARROW if narrow else style.TWO_COLUMNS / 2
    test = tables.wide(results, "test", "accuracy")
    bases = [base for base in ("ticket", "recalibrated") if base in test]
    figure, panels = style.panels(len(bases), width, stack=narrow)
    for axes, base in zip(panels, bases, strict=True):
        axes.axhline(0, color="black", linewidth=0.7)
        compared = ["recalibrated", *methods] if base == "ticket" else methods
        gained = 100 * test.sub(test[base], axis="index")
        style.against_density(axes, gained, tables.densities(results), compared, width)
        axes.set_title(f"gain over the {style.look(base).name}")
    for axes in panels if narrow else panels[:1]:
        axes.set_ylabel("test accuracy gained (points)")
    style.legend(figure, panels[:1])
    return figure


def coefficients(trials: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Draw the coefficient of every accepted candidate of `reading.trials`, mean over the seeds that accepted it.

    Accepted candidates are in color, those that every seed rejected gray with a cross, those not tried white.
    """
    levels = range(int(trials[["anchor", "candidate"]].max().max()) + 1)
    accepted = _by_pair(trials[trials["accepted"].astype(bool)], levels)
    rejected = _by_pair(trials, levels).where(accepted.isna())
    side = min(max(0.32 * len(levels), 2.2), style.NARROW - 1 if narrow else 4.8)
    size = min(8.0, 24 * side / len(levels))
    figure = Figure(figsize=(side + 1.1, side + 0.7), layout="constrained")
    axes = figure.subplots()
    axes.imshow(rejected * 0, cmap=_REJECTED)
    image = axes.imshow(accepted, vmin=0, vmax=1, cmap="YlGnBu")
    for anchor, candidate in np.argwhere(rejected.notna()):
        _write(axes, anchor, candidate, "×", size, _QUIET)
    if len(levels) <= _MOST_NUMBERS:
        for anchor, candidate in np.argwhere(accepted.notna()):
            coefficient = accepted.to_numpy()[anchor, candidate]
            shown = f"{coefficient:.2f}".removeprefix("0").removesuffix("0")
            _write(axes, anchor, candidate, shown, size, "white" if coefficient > _DARK else "black")
    for anchor in sorted(set(trials["anchor"])):
        _write(axes, anchor, anchor, "•", size, _QUIET)
    axes.set_xticks(_ticks(levels))
    axes.set_yticks(_ticks(levels))
    axes.set_xlabel("candidate's level")
    axes.set_ylabel("anchor's level")
    axes.spines[:].set_visible(True)
    signs = [
        Line2D([], [], linestyle="", marker="x", color=_QUIET, label="rejected"),
        Line2D([], [], linestyle="", marker=".", color=_QUIET, label="anchor"),
    ]
    axes.legend(handles=signs, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    figure.colorbar(image, ax=axes, shrink=0.7, pad=0.02, label="coefficient of the candidate")
    return figure


def training(epochs: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Draw validation accuracy by epoch of one seed's `reading.epochs`, a curve a level, a dot where it was kept."""
    figure, (axes,) = style.panels(1, style.NARROW if narrow else style.WIDE, height=3.2)
    levels = range(int(epochs["level"].max()) + 1)
    # The palest end of the map would not be seen on paper.
    colors = ListedColormap([matplotlib.colormaps["viridis"](0.92 * n / max(levels[-1], 1)) for n in levels])
    for level in levels:
        rows = epochs[epochs["level"] == level]
        kept = rows[rows["kept"]]
        (line,) = axes.plot(rows["epoch"], 100 * rows["validation_accuracy"], color=colors(level), linewidth=0.7)
        line.set(marker="." if len(rows) == 1 else "", markersize=3)  # of one epoch there is no line to see
        axes.plot(kept["epoch"], 100 * kept["validation_accuracy"], ".", color=colors(level), markersize=6)
    axes.set_xlabel("epoch")
    axes.set_ylabel("validation accuracy (%)")
    scale = ScalarMappable(BoundaryNorm([n - 0.5 for n in (*levels, len(levels))], len(levels)), colors)
    figure.colorbar(scale, ax=axes, ticks=_ticks(levels), pad=0.02, label="level").minorticks_off()
    return figure


def _by_pair(trials: pd.DataFrame, levels: range) -> pd.DataFrame:
    means = trials.groupby(["anchor", "candidate"])["coefficient"].mean().unstack()
    return means.reindex(index=levels, columns=levels).astype(float)


def _write(axes: Axes, anchor: int, candidate: int, text: str, size: float, ink: str) -> None:
    axes.text(candidate, anchor, text, ha="center", va="center_baseline", color=ink, size=size)


def _ticks(levels: range) -> range:
    return levels[:: -(-len(levels) // _MOST_TICKS)]
