"""Which candidates the anchors took in, and at which coefficient."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

_REJECTED = ListedColormap(["#DEDEDE"])
_QUIET = "#6A6A6A"
_MOST_NUMBERS = 20
_MOST_TICKS = 10
_DARK = 0.5


def coefficients(trials: pd.DataFrame) -> Figure:
    """Draws the coefficient of every accepted candidate, mean over the seeds that accepted it.

    Args:
      trials: One method's, as `reading.trials` gives them; at least one.

    Returns:
      The figure: accepted in color, rejected by every seed in gray with a cross, not tried white.
    """
    levels = range(int(trials[["anchor", "candidate"]].max().max()) + 1)
    accepted = _by_pair(trials[trials["accepted"].astype(bool)], levels)
    rejected = _by_pair(trials, levels).where(accepted.isna())
    side = min(max(0.32 * len(levels), 2.2), 4.8)
    size = min(8.0, 24 * side / len(levels))
    figure = Figure(figsize=(side + 1.1, side + 0.7), layout="constrained")
    axes = figure.subplots()
    axes.imshow(rejected * 0, cmap=_REJECTED)
    image = axes.imshow(accepted, vmin=0, vmax=1, cmap="YlGnBu")
    for anchor, candidate in np.argwhere(rejected.notna()):
        _write(axes, anchor, candidate, "×", size, _QUIET)
    for anchor, candidate in np.argwhere(accepted.notna()) if len(levels) <= _MOST_NUMBERS else ():
        coefficient = accepted.to_numpy()[anchor, candidate]
        _write(axes, anchor, candidate, _short(coefficient), size, "white" if coefficient > _DARK else "black")
    for anchor in sorted(set(trials["anchor"])):
        _write(axes, anchor, anchor, "•", size, _QUIET)
    _frame(axes, levels)
    figure.colorbar(image, ax=axes, shrink=0.7, pad=0.02, label="coefficient of the candidate")
    return figure


def _by_pair(trials: pd.DataFrame, levels: range) -> pd.DataFrame:
    means = trials.groupby(["anchor", "candidate"])["coefficient"].mean().unstack()
    return means.reindex(index=levels, columns=levels).astype(float)


def _short(coefficient: float) -> str:
    return f"{coefficient:.2f}".removeprefix("0").removesuffix("0")


def _write(axes: Axes, anchor: int, candidate: int, text: str, size: float, ink: str) -> None:
    axes.text(candidate, anchor, text, ha="center", va="center_baseline", color=ink, size=size)


def _frame(axes: Axes, levels: range) -> None:
    ticks = levels[:: -(-len(levels) // _MOST_TICKS)]
    axes.set_xticks(ticks)
    axes.set_yticks(ticks)
    axes.set_xlabel("candidate's level")
    axes.set_ylabel("anchor's level")
    axes.spines[:].set_visible(True)
    signs = {"rejected": "x", "anchor": "."}
    handles = [Line2D([], [], linestyle="", marker=m, color=_QUIET, label=name) for name, m in signs.items()]
    axes.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
