"""Curves over choices: mean and band over seeds, a panel per network, one legend."""

from collections.abc import Mapping, Sequence

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from lpjax.report import style

WIDTH = 6.75  # two columns of a paper


@matplotlib.rc_context(style.SETTINGS)
def curves(
    panels: Sequence[tuple[str, pd.DataFrame]], looks: Mapping[str, style.Look], xlabel: str, ylabel: str
) -> Figure:
    """Draw a measure against a choice.

    Args:
      panels: Title and table of each: columns `x` (any labels, drawn in their order), `curve`, `seed`, `value`.
      looks: How curves are drawn, by name, in the legend's order; those that a panel lacks are left out there.
      xlabel: What the choice is.
      ylabel: What is measured.
    """
    figure, row = style.panels(len(panels), max(WIDTH / max(len(panels), 2), 2.2), height=2.7, share=False)
    handles = {}
    for axes, (title, table) in zip(row, panels, strict=True):
        places = {x: place for place, x in enumerate(dict.fromkeys(table["x"]))}
        for name, look in looks.items():
            over_seeds = table[table["curve"] == name].groupby("x", sort=False)["value"]
            mean = over_seeds.mean()
            if len(mean):
                style.band(axes, [places[x] for x in mean.index], mean, over_seeds.std(), look)
        axes.set_xticks(list(places.values()), list(map(str, places)))
        axes.set_xlim(-0.3, len(places) - 0.7)
        axes.set_xlabel(xlabel)
        axes.set_title(title)
        handles |= {name: handle for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)}
    row[0].set_ylabel(ylabel)
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=min(len(handles), 4))
    return figure
