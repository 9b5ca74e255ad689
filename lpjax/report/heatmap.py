"""Averaged pairs of tickets: how accurate the middle of every two is."""

from collections.abc import Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from lpjax.errors import UserError
from lpjax.report import style

_MOST_NUMBERS = 12
_LABEL = 0.14  # inches that a label on its side takes
_UPRIGHT = 2  # letters that fit below a cell
_DARK = 0.5


@matplotlib.rc_context(style.SETTINGS)
def pairs(panels: Sequence[tuple[str, pd.DataFrame]], *, lowest: float | None = None) -> Figure:
    """Draw the test accuracy of every averaged pair, mean over seeds, in one color scale; framed, the tickets.

    Args:
      panels: Title and pairs of every panel, one or two. Columns: `seed`; `first`, `second`, levels with
        `first <= second`, where both are one the ticket itself; `accuracy`, a fraction; perhaps `density` of the
        second, by which the axes are then labeled instead of by level.
      lowest: Accuracy, a fraction, at and below which all is equally dark. By default as far below the poorest ticket
        as the best pair is above it, so that collapsed pairs do not use up the scale.

    Returns:
      The figure, with numbers in the cells if there are up to twelve levels, else with their range above the panel.

    Raises:
      UserError: If there is no pair to draw.

    Example:
      >>> rows = [(0, 0, 0, 0.70), (0, 0, 1, 0.74), (0, 1, 1, 0.72)]
      >>> table = pd.DataFrame(rows, columns=['seed', 'first', 'second', 'accuracy'])
      >>> [text.get_text() for text in pairs([('with rewinding', table)]).axes[0].texts]
      ['70.0', '74.0', '74.0', '72.0']

    References:
      Yin et al., Lottery Pools, AAAI 2023, Figure 1.
    """
    if not panels or any(table.empty for _, table in panels):
        raise UserError("got no averaged pairs to draw; give one panel or more, each with a row a pair")
    squares = [_square(table) for _, table in panels]
    floor, poorest, best = _scale(squares, lowest)
    side = style.TWO_COLUMNS / 2 - 0.35
    few = all(len(square) <= _MOST_NUMBERS for square in squares)
    figure = Figure(figsize=(side * len(squares) + 0.7, side + (0.25 if few else 0.4)), layout="constrained")
    row = figure.subplots(1, len(squares), squeeze=False)[0]
    for axes, (title, table), square in zip(row, panels, squares, strict=True):
        image = axes.imshow(square, vmin=floor, vmax=best, cmap="viridis")
        _frame(axes, _labels(table), side)
        if few:
            axes.set_title(title)
            _write(axes, image, square, side)
        else:
            axes.set_title(f"{title}\n{_ranges(square)}")
    row[0].set_ylabel(row[0].get_xlabel())
    extend = "min" if poorest < floor else "neither"
    figure.colorbar(image, ax=row, shrink=0.75, pad=0.02, label="test accuracy (%)", extend=extend)
    return figure


def _scale(squares: Sequence[np.ndarray], lowest: float | None) -> tuple[float, float, float]:
    """Give the lower end of the color scale, the poorest accuracy and the best, in percent."""
    values = np.concatenate([square.ravel() for square in squares])
    poorest = float(np.nanmin(values))
    best = float(np.nanmax(values))
    if lowest is not None:
        return 100 * lowest, poorest, best
    tickets = np.concatenate([np.diagonal(square) for square in squares])
    return max(poorest, 2 * float(np.nanmin(tickets)) - best), poorest, best


def _square(pairs: pd.DataFrame) -> np.ndarray:
    levels = range(int(pairs["second"].max()) + 1)
    means = 100 * pairs.groupby(["first", "second"])["accuracy"].mean().unstack()
    upper = means.reindex(index=levels, columns=levels).to_numpy(float)
    return np.where(np.isnan(upper), upper.T, upper)


def _labels(pairs: pd.DataFrame) -> pd.Series:
    levels = range(int(pairs["second"].max()) + 1)
    if "density" not in pairs:
        return pd.Series([str(level) for level in levels], name="level")
    densities = pairs.groupby("second")["density"].mean().reindex(levels)
    return densities.map("{:.2g}".format).rename("density")


def _frame(axes: Axes, labels: pd.Series, side: float) -> None:
    every = int(np.ceil(_LABEL * len(labels) / (side - 0.9)))
    shown = [label if level % every == 0 else "" for level, label in enumerate(labels)]
    axes.set_xticks(range(len(labels)), shown, rotation=90 if labels.str.len().max() > _UPRIGHT else 0)
    axes.set_yticks(range(len(labels)), shown)
    axes.set_xlabel(str(labels.name))
    axes.spines[:].set_visible(True)
    for level in range(len(labels)):
        axes.add_patch(matplotlib.patches.Rectangle((level - 0.5, level - 0.5), 1, 1, fill=False, linewidth=0.8))


def _ranges(square: np.ndarray) -> str:
    diagonal = np.eye(len(square), dtype=bool)
    groups = {"pairs": square[~diagonal], "tickets": square[diagonal]}
    return "; ".join(f"{name} {np.nanmin(of):.1f} to {np.nanmax(of):.1f} %" for name, of in groups.items())


def _write(axes: Axes, image: AxesImage, square: np.ndarray, side: float) -> None:
    size = min(7.0, 26 * (side - 0.9) / len(square))
    shades = np.asarray(image.norm(square))
    for first, second in np.argwhere(~np.isnan(square)):
        ink = "white" if shades[first, second] < _DARK else "black"
        axes.text(
            second, first, f"{square[first, second]:.1f}", ha="center", va="center_baseline", color=ink, size=size
        )
