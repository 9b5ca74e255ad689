"""How the levels trained."""

import matplotlib
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure

from lpjax.report import style

_MOST_TICKS = 10


def training(epochs: pd.DataFrame) -> Figure:
    """Draws validation accuracy by epoch, one curve a level, a dot where the ticket was kept.

    Args:
      epochs: One seed's, as `reading.epochs` gives them; at least one.

    Returns:
      The figure.
    """
    figure, (axes,) = style.panels(1, width=5.2, height=3.2)
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
    ticks = levels[:: -(-len(levels) // _MOST_TICKS)]
    figure.colorbar(scale, ax=axes, ticks=ticks, pad=0.02, label="level").minorticks_off()
    return figure
