"""Figures of a sparse run: how both arms trained, what masks did, and what superposing cheap tickets gains."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lpjax.report import arms, style, tables

_LOOKS = {arms.BASE: style.look("base"), arms.CHEAP: style.look("cia")._replace(name="Sup-tickets")}
_TRAINING = {
    "validation_accuracy": ("validation accuracy (%)", 100),
    "learning_rate": ("learning rate\nat ends of epochs", 1),
}
_MASKS = {
    "density": "density\n(share of weights alive)",
    "explored": "exploration rate $R_s$\n(share of weights alive so far)",
    "flops": "FLOPs of a forward pass\n(share of the dense network's)",
}
_SPREAD = 0.07  # how far apart dots of neighboring methods lie, in tickets
_PALE = 0.1
_DECADE = 10


def figures(workdir: Path, results: pd.DataFrame) -> dict[str, Callable[..., Figure]]:
    """Return what draws every figure of a sparse run that there is something for; of epochs, those of the first seed.

    Each draws for a screen, and with `narrow=True` for a phone.
    """
    drawn: dict[str, Callable[..., Figure]] = {}
    test = tables.wide(arms.named(results), "test", "accuracy")
    if arms.CHEAP in test:
        drawn["superposed"] = partial(superposed, test)
    plan = arms.plan(workdir)
    if plan is None:
        return drawn
    epochs = arms.epochs(workdir)
    first = epochs[epochs["seed"] == epochs["seed"].min()]
    if first[list(_TRAINING)].notna().any(axis=None):
        drawn["training"] = partial(training, first, plan)
    if first[list(_MASKS)].notna().any(axis=None):
        drawn["masks"] = partial(masks, first, plan)
    return drawn


def superposed(test: pd.DataFrame, *, narrow: bool = False) -> Figure:
    """Draw test accuracy (`arms.named`, `tables.wide`) against the number of cheap tickets, and a dot a seed.

    Curves are means over seeds with their bands; the base network lies at the left, its mean a line all along.

    References:
      Yin et al., Superposing Many Tickets into One, UAI 2022, Figure 4.
    """
    figure, (axes,) = style.panels(1, style.NARROW if narrow else style.WIDE, height=3.5)
    methods = style.in_order(map(str, test))
    last = int(test.index.get_level_values("level").max())
    for place, method in enumerate(methods):
        values = 100 * test[method].dropna()
        shift = _SPREAD * (place - (len(methods) - 1) / 2) * (method != arms.BASE)
        x = values.index.get_level_values("level") + shift
        look = style.look(method)
        axes.plot(x, values, ".", color=look.color, markersize=5, markeredgewidth=0, alpha=0.7)
        if method == arms.BASE:
            mean = pd.Series([values.mean()] * 2)
            std = pd.Series([values.std()] * 2)
            style.band(axes, [0, last + 0.3], mean, std, look, size=0)
        else:
            style.curve(axes, pd.Series(range(last + 1)) + shift, values, method)
    for band in axes.collections:
        band.set(alpha=_PALE)  # five of them overlap
    first = 0 if arms.BASE in test else 1
    axes.set_xlim(first - 0.3, last + 0.3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter(lambda value, _: "base" if value == 0 else f"{value:g}")
    axes.set_xlabel("cheap tickets collected")
    axes.set_ylabel("test accuracy (%)")
    style.legend(figure, [axes])
    return figure


def training(epochs: pd.DataFrame, plan: arms.Plan, *, narrow: bool = False) -> Figure:
    """Draw validation accuracy and learning rate of one seed's `arms.epochs`: all of training, and the cycles alone."""
    shown = [column for column in _TRAINING if epochs[column].notna().any()]
    parts = {"all of training": epochs}
    cycling = (epochs["arm"] == arms.CHEAP) & (epochs["epoch"] > plan.before)
    if cycling.any() and plan.before and not narrow:
        parts["the cycles"] = epochs[epochs["epoch"] >= plan.before]
    width = style.NARROW if narrow else style.TWO_COLUMNS
    figure = Figure(figsize=(width, 1.2 + 1.5 * len(shown)), layout="constrained")
    grid = figure.subplots(len(shown), len(parts), squeeze=False, sharex="col", width_ratios=[5, 4][: len(parts)])
    for row, column in zip(grid, shown, strict=True):
        words, scale = _TRAINING[column]
        for axes, part in zip(row, parts.values(), strict=True):
            _arms(axes, part.assign(value=scale * part[column]), plan)
        row[0].set_ylabel(words)
        if column == "learning_rate" and _spans_decades(epochs[column]):
            row[0].set_yscale("log")
    for column, title in zip(grid.T, parts, strict=True):
        column[0].set_title(title)
        column[-1].set_xlabel("epoch")
        column[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    style.legend(figure, grid[0, -1:], columns=4)
    return figure


def masks(epochs: pd.DataFrame, plan: arms.Plan, *, narrow: bool = False) -> Figure:
    """Draw what masks did in one seed's `arms.epochs`: density, exploration rate and FLOPs, as far as recorded.

    References:
      Liu et al., Do We Actually Need Dense Over-Parameterization?, ICML 2021 (exploration rate).
    """
    shown = [column for column in _MASKS if epochs[column].notna().any()]
    figure, row = style.panels(len(shown), style.NARROW if narrow else 2.4, height=2.6, share=False, stack=narrow)
    for axes, column in zip(row, shown, strict=True):
        _arms(axes, epochs.assign(value=epochs[column]), plan)
        axes.set_ylim(0, 1.1 * epochs[column].max())
        axes.set_title(_MASKS[column])
        axes.set_xlabel("epoch")
    style.legend(figure, row[:1], columns=4)
    return figure


def _spans_decades(values: pd.Series) -> bool:
    positive = values[values > 0]
    return bool(positive.max() > _DECADE * positive.min())


def _arms(axes: Axes, epochs: pd.DataFrame, plan: arms.Plan) -> None:
    """Draw `value` of both arms, shade the cycles and mark the epochs of cheap tickets."""
    axes.grid(axis="y", **style.GRID)
    for arm, lines in epochs.dropna(subset="value").groupby("arm"):
        name, color, _, line = _LOOKS[str(arm)]
        # Where both arms agree, the color shows between the dashes of the base network.
        order = 3 if arm == arms.BASE else 2
        axes.plot(lines["epoch"], lines["value"], line, color=color, linewidth=1.1, label=name, zorder=order)
        kept = lines[lines["kept"] & (lines["arm"] == arms.CHEAP)]
        if len(kept):
            (marks,) = axes.plot(kept["epoch"], kept["value"], style.look(arms.CHEAP).marker, color=color, zorder=4)
            marks.set(markersize=5, markerfacecolor="white", label="cheap ticket")
    if plan.cycles:
        axes.axvspan(plan.before, plan.epochs, color="#F0F0F0", linewidth=0, zorder=0, label="cycles")
