"""How methods are named and drawn: one look each, the same in every figure and table."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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


class Look(NamedTuple):
    """How one method appears.

    Attributes:
      name: For people.
      color: Of Okabe and Ito's palette, told apart by color-blind readers too.
      marker: Tells curves apart without colors.
      line: Matplotlib's line style; solid for what the paper proposes.
    """

    name: str
    color: str
    marker: str
    line: str


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
    """Gives a method's look; one that has none of its own is drawn gray under its own name.

    Args:
      method: As results.csv names it.

    Returns:
      The look.

    Example:
      >>> look('swa').name, look('learned_soup').name
      ('SWA', 'learned soup')
      >>> look('candidates_8').name
      'pool of 8 candidates'
    """
    if method in LOOKS:
        return LOOKS[method]
    family, _, number = method.rpartition("_")
    if family in FAMILIES and number.isdecimal():
        color, marker = _VARIANTS[int(number) % len(_VARIANTS)]
        return Look(FAMILIES[family].format(number, "" if number == "1" else "s"), color, marker, "-")
    return Look(method.replace("_", " "), "#444444", ".", ":")


def in_order(methods: Iterable[str]) -> list[str]:
    """Sorts methods as they are shown everywhere: tickets, the control, the paper's pools, then the others.

    Args:
      methods: As results.csv names them.

    Returns:
      The same, sorted.

    Example:
      >>> in_order(['swa', 'candidates_18', 'candidates_3', 'ticket'])
      ['ticket', 'swa', 'candidates_3', 'candidates_18']
    """
    known = list(LOOKS)

    def place(method: str) -> tuple[int, list[str | int]]:
        rank = known.index(method) if method in known else len(known)
        return rank, [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", method)]

    return sorted(methods, key=place)


def panels(count: int, width: float, height: float = 2.9, *, share: bool = True) -> tuple[Figure, list[Axes]]:
    """Makes a row of panels.

    Args:
      count: How many.
      width: Of one, in inches; two columns of a paper are 6.75 wide.
      height: In inches.
      share: Whether they share their vertical axis.

    Returns:
      The figure and its axes.
    """
    figure = Figure(figsize=(width * count, height), layout="constrained")
    axes = list(figure.subplots(1, count, squeeze=False, sharey=share)[0])
    for panel in axes:
        panel.grid(axis="y", linewidth=0.4, color="#DDDDDD")
    return figure, axes


def curve(axes: Axes, x: pd.Series, values: pd.Series, method: str, size: float = 3.2) -> None:
    """Draws the mean over seeds, with a band of one standard deviation where there are several.

    Args:
      axes: Where to draw.
      x: Position of every level.
      values: By (seed, level).
      method: Whose look.
      size: Of the markers, in points.
    """
    over_seeds = values.dropna().groupby("level")
    mean, std = over_seeds.mean(), over_seeds.std()
    band(axes, x.reindex(mean.index), mean, std, look(method), size)


def band(axes: Axes, x: Any, mean: pd.Series, std: pd.Series, look: Look, size: float = 3.2) -> None:
    """Draws a curve, with a band of one standard deviation where there is one.

    Args:
      axes: Where to draw.
      x: Positions, as many as means.
      mean: Of the curve.
      std: NaN where it is not known.
      look: The curve's.
      size: Of the markers, in points; 0 for none.
    """
    name, color, marker, line = look
    axes.plot(x, mean, color=color, marker=marker, linestyle=line, markersize=size, linewidth=1.1, label=name)
    if std.notna().any():
        axes.fill_between(x, mean - std, mean + std, color=color, alpha=0.15, linewidth=0)
