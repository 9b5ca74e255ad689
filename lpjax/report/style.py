"""How methods are named and drawn: one look each, the same in every figure and table; and axes that figures share."""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

TWO_COLUMNS = 6.75  # inches: the width of two columns of a paper
WIDE = 5.2  # inches: a figure of one panel on a screen
NARROW = 3.5  # and on a phone
GRID: Any = {"linewidth": 0.4, "color": "#DDDDDD"}
# Type of a paper's column, embedded as TrueType, which conferences ask for.
SETTINGS: Any = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.titlesize": 8,
    "axes.axisbelow": True,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "pdf.fonttype": 42,
}
# Ids of what is drawn: 'curve:NAME' of a mean, 'curve:NAME, seed 3' of one seed, 'band:NAME' of a standard deviation.
CURVE = "curve"
BAND = "band"
OF_SEED = ", seed "
_LABELS_PER_INCH = 2
LEGEND_ENTRY = 1.65  # inches
_EDGE = 0.035  # space for the outermost markers, a share of the axis


class Look(NamedTuple):
    """How one method appears: its name for people, and its curve."""

    name: str
    color: str  # of Okabe and Ito's palette, told apart by color-blind readers too
    marker: str  # tells curves apart without colors
    line: str  # Matplotlib's line style; solid for what the paper proposes


LOOKS = {
    "ticket": Look("ticket", "#000000", "o", "-"),
    "recalibrated": Look("recalibrated ticket", "#7A7A7A", "s", "--"),
    "interpolation": Look("pool (interpolation)", "#D55E00", "^", "-"),
    "average": Look("pool (average)", "#0072B2", "v", "-"),
    "best_single": Look("best single ticket", "#009E73", "D", "--"),
    "swa": Look("SWA", "#56B4E9", "P", "--"),
    "ema_decay": Look("EMA (0.95 anchor)", "#CC79A7", "X", "--"),
    "ema_newest": Look("EMA (0.95 newest)", "#E69F00", "<", "--"),
    "uniform": Look("uniform mean", "#882255", ">", ":"),
    "prune_after": Look("pool (pruned after)", "#0072B2", "s", "--"),
    "ensemble_logits": Look("ensemble (logits)", "#009E73", "D", "--"),
    "ensemble_probabilities": Look("ensemble (probabilities)", "#56B4E9", "<", "--"),
    "base": Look("base network", "#000000", "s", "--"),
    "cheap": Look("cheap ticket", "#7A7A7A", "o", "--"),
    "cia": Look("Sup-ticket (CIA)", "#D55E00", "^", "-"),
    "caa": Look("Sup-ticket (CAA)", "#0072B2", "v", "-"),
    "cima": Look("Sup-ticket (CIMA)", "#CC79A7", "X", "-"),
    "ensemble": Look("output ensemble", "#009E73", "D", ":"),
}
# Variants of the pool, told by a number: the full one has 18 candidates and 11 coefficients.
FAMILIES = {
    "candidates": "pool of {} candidate{}",
    "newcomers": "pool of {} candidate{}",  # as results of lpjax 0.1 name them
    "coefficients": "pool ({} coefficient{})",
    "interpolation_of": "pool of {}",
}
# Drawn at the number's remainder: the paper's 3, 7, 8, 11 and 18 are told apart.
_VARIANTS = (
    ("#56B4E9", "s"),
    ("#009E73", "D"),
    ("#E69F00", "<"),
    ("#CC79A7", "P"),
    ("#332288", "X"),
    ("#0072B2", ">"),
    ("#882255", "p"),
)


def look(method: str) -> Look:
    """Give the look of a method of results.csv; one that has none of its own is drawn gray under its own name.

    Example:
      >>> look('swa').name, look('learned_soup').name, look('candidates_8').name
      ('SWA', 'learned soup', 'pool of 8 candidates')
    """
    if method in LOOKS:
        return LOOKS[method]
    family, _, number = method.rpartition("_")
    if family in FAMILIES and number.isdecimal():
        color, marker = _VARIANTS[int(number) % len(_VARIANTS)]
        return Look(FAMILIES[family].format(number, "" if number == "1" else "s"), color, marker, "-")
    return Look(method.replace("_", " "), "#444444", ".", ":")


def in_order(methods: Iterable[str]) -> list[str]:
    """Sort methods as they are shown everywhere: tickets, the control, the paper's pools, then the others.

    Example:
      >>> in_order(['swa', 'candidates_18', 'candidates_3', 'ticket'])
      ['ticket', 'swa', 'candidates_3', 'candidates_18']
    """
    known = list(LOOKS)

    def place(method: str) -> tuple[int, list[str | int]]:
        rank = known.index(method) if method in known else len(known)
        return rank, [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", method)]

    return sorted(methods, key=place)


def panels(
    count: int, width: float, height: float = 2.9, *, share: bool = True, stack: bool = False
) -> tuple[Figure, list[Axes]]:
    """Make a row of panels, or a stack, each `width` inches wide, that share their vertical axis or do not."""
    rows, columns = (count, 1) if stack else (1, count)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, sharey=share).flat)
    for panel in axes:
        panel.grid(axis="y", **GRID)
    return figure, axes


def curve(axes: Axes, x: pd.Series, values: pd.Series, method: str, size: float = 3.2) -> None:
    """Draw the mean over seeds of values by (seed, level), at each level's `x`, with its band."""
    over_seeds = values.dropna().groupby("level")
    mean = over_seeds.mean()
    seeds = values.dropna().unstack("seed")
    for seed in seeds:
        one = Line2D(x.reindex(seeds.index), seeds[seed], color=look(method).color, linewidth=0.6, visible=False)
        one.set_gid(f"{CURVE}:{look(method).name}{OF_SEED}{seed}")
        axes.add_artist(one)  # unlike `plot`, leaves the limits of the axes alone
    band(axes, x.reindex(mean.index), mean, over_seeds.std(), look(method), size)


def band(axes: Axes, x: Any, mean: pd.Series, std: pd.Series, look: Look, size: float = 3.2) -> None:
    """Draw a curve with markers of `size` points, with a band of one standard deviation where it is not NaN."""
    name, color, marker, line = look
    (drawn,) = axes.plot(
        x, mean, color=color, marker=marker, linestyle=line, markersize=size, linewidth=1.1, label=name
    )
    drawn.set_gid(f"{CURVE}:{name}")
    if std.notna().any():
        filled = axes.fill_between(x, mean - std, mean + std, color=color, alpha=0.15, linewidth=0)
        filled.set_gid(f"{BAND}:{name}")


def dense_line(axes: Axes, values: pd.DataFrame) -> None:
    """Draw the dense network's value, of `tables.wide`, as a dotted line; nothing where it was not measured."""
    if "ticket" in values and 0 in values.index.get_level_values("level"):
        dense = values["ticket"].xs(0, level="level").mean()
        axes.axhline(dense, color=look("ticket").color, linewidth=0.7, linestyle=(0, (1, 2)), label="dense")


def against_density(
    axes: Axes, values: pd.DataFrame, densities: pd.Series, methods: Iterable[str], width: float, size: float = 3.2
) -> None:
    """Draw methods of `tables.wide` on an axis of densities, `width` inches: logarithmic, from dense to sparse."""
    for method in methods:
        if method in values:
            curve(axes, densities, values[method], method, size)
    axes.set_xscale("log")
    edge = max((densities.max() / densities.min()) ** _EDGE, 1.06)
    axes.set_xlim(edge * densities.max(), densities.min() / edge)
    axes.set_xticks(densities, thinned([f"{density:.2g}" for density in densities], width))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("density (share of weights kept)")


def thinned(labels: Sequence[str], width: float) -> list[str]:
    """Blank the tick labels that do not fit on an axis of `width` inches."""
    every = math.ceil(len(labels) / (_LABELS_PER_INCH * width))
    return [label if tick % every == 0 else "" for tick, label in enumerate(labels)]


def legend(figure: Figure, row: Iterable[Axes], columns: int = 3) -> None:
    """Put one legend of all panels below the figure."""
    entries = handles(row)
    columns = min(columns, max(1, int(figure.get_figwidth() / LEGEND_ENTRY)))
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=columns)


def handles(row: Iterable[Axes]) -> dict[str, Artist]:
    """Give what a legend of several panels shows, by name."""
    found: dict[str, Artist] = {}
    for axes in row:
        found |= {name: handle for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    return found
