"""Curves against density: accuracy of tickets and pools, and what pools gain."""

import math
from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from lpjax.report import style, tables

_LABELS_PER_INCH = 2
_EDGE = 0.035  # room for the outermost markers, a share of the axis


def accuracy(results: pd.DataFrame, methods: Sequence[str]) -> Figure:
    """Draws test accuracy against density, from dense to sparse: mean over seeds, band of one standard deviation.

    Args:
      results: Measurements, as `reading.results` gives them.
      methods: Those to draw.

    Returns:
      The figure.

    References:
      Yin et al., Lottery Pools, AAAI 2023, Figure 3.
    """
    test = 100 * tables.wide(results, "test", "accuracy")
    densities = tables.densities(results)
    figure, (axes,) = style.panels(1, width := 5.2, height=3.5)
    dense_line(axes, test)
    for method in methods:
        style.curve(axes, densities, test[method], method)
    density_axis(axes, densities, width)
    axes.set_ylabel("test accuracy (%)")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def gains(results: pd.DataFrame, methods: Sequence[str]) -> Figure:
    """Draws what pools gain over tickets, and over tickets with recalibrated statistics.

    Differences are taken within a seed, so that the band shows how far the gain itself varies.

    Args:
      results: Measurements, as `reading.results` gives them.
      methods: Pools to draw.

    Returns:
      The figure, one panel for each of the two that is there.
    """
    test = tables.wide(results, "test", "accuracy")
    densities = tables.densities(results)
    bases = [base for base in ("ticket", "recalibrated") if base in test]
    figure, panels = style.panels(len(bases), width := 3.35)
    for axes, base in zip(panels, bases, strict=True):
        axes.axhline(0, color="black", linewidth=0.7)
        compared = ["recalibrated", *methods] if base == "ticket" and "recalibrated" in test else methods
        for method in compared:
            style.curve(axes, densities, 100 * (test[method] - test[base]), method)
        density_axis(axes, densities, width)
        axes.set_title(f"gain over the {style.look(base).name}")
    panels[0].set_ylabel("test accuracy gained (points)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def dense_line(axes: Axes, values: pd.DataFrame) -> None:
    """Draws the dense network's value as a dotted line; nothing where it was not measured.

    Args:
      axes: Where to draw.
      values: As `tables.wide` gives them, in the units of the axes.
    """
    if "ticket" in values and 0 in values.index.get_level_values("level"):
        dense = values["ticket"].xs(0, level="level").mean()
        axes.axhline(dense, color=style.look("ticket").color, linewidth=0.7, linestyle=(0, (1, 2)), label="dense")


def density_axis(axes: Axes, densities: pd.Series, width: float) -> None:
    """Makes the horizontal axis one of densities: logarithmic, from dense to sparse, a tick a level.

    Args:
      axes: Whose.
      densities: By level.
      width: Of the panel, in inches: as many ticks are labeled as fit.
    """
    every = math.ceil(len(densities) / (_LABELS_PER_INCH * width))
    axes.set_xscale("log")
    edge = max((densities.max() / densities.min()) ** _EDGE, 1.06)
    axes.set_xlim(edge * densities.max(), densities.min() / edge)
    axes.set_xticks(densities, [f"{d:.2g}" if i % every == 0 else "" for i, d in enumerate(densities)])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("density (share of weights kept)")
