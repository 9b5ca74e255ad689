"""Straight lines between consecutive tickets: loss and error on the way, and how high the barriers are."""

from collections.abc import Sequence

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lpjax.choices import one_of
from lpjax.errors import UserError
from lpjax.report import style

_METRICS = {"loss": (1, "test loss (nats)"), "error": (100, "test error (%)")}
_STATISTICS = {True: "recalibrated statistics", False: "mixed statistics"}
_SETTINGS = {
    "rewinding": style.Look("with rewinding", "#009E73", "o", "-"),
    "no rewinding": style.Look("without rewinding", "#E69F00", "s", "--"),
}


@matplotlib.rc_context(style.SETTINGS)
def paths(panels: Sequence[tuple[str, pd.DataFrame]], *, densities: Sequence[float] | None = None) -> Figure:
    """Draw test loss and error along the chain of tickets: mean over seeds, band of one standard deviation.

    From one level to the next the coefficient of the sparser ticket runs from 0 to 1; hairlines are the tickets.

    Args:
      panels: Title and measurements of every panel. Columns: `seed`; `pair`, the denser ticket's level; `coefficient`
        in [0, 1]; `setting`, `'rewinding'` or `'no rewinding'`; `metric`, `'loss'` (nats) or `'error'` (fraction);
        `value`.
      densities: Of every level, to label the tickets by; by level otherwise.

    Returns:
      The figure, two rows: loss and error.

    Raises:
      UserError: If there is nothing to draw, a name is unknown, a point was measured twice, or densities are too few.

    Example:
      >>> rows = [(0, 0, c, 'rewinding', m, 0.2) for c in (0, 0.5, 1) for m in ('loss', 'error')]
      >>> table = pd.DataFrame(rows, columns=['seed', 'pair', 'coefficient', 'setting', 'metric', 'value'])
      >>> [axes.get_ylabel() for axes in paths([('', table)], densities=[1, 0.8]).axes]
      ['test loss (nats)', 'test error (%)']

    References:
      Yin et al., Lottery Pools, AAAI 2023, Figure 2.
    """
    if not panels or any(table.empty for _, table in panels):
        raise UserError("got no path to draw; give one panel or more, each with a row a point")
    figure = Figure(figsize=(style.TWO_COLUMNS, 3.8), layout="constrained")
    grid = figure.subplots(len(_METRICS), len(panels), squeeze=False, sharex="col", sharey="row")
    for column, (title, table) in zip(grid.T, panels, strict=True):
        for axes, (metric, (scale, _)) in zip(column, _METRICS.items(), strict=True):
            chosen = table[table["metric"] == metric]
            _curves(axes, chosen.assign(value=scale * chosen["value"]), size=0)
        _tickets(column, table, densities, style.TWO_COLUMNS / len(panels))
        column[0].set_title(title)
    for axes, (_, label) in zip(grid[:, 0], _METRICS.values(), strict=True):
        axes.set_ylabel(label)
    style.legend(figure, grid.flat, columns=2)
    return figure


@matplotlib.rc_context(style.SETTINGS)
def barriers(heights: pd.DataFrame, *, metric: str = "error", densities: Sequence[float] | None = None) -> Figure:
    """Draw how far every path between consecutive tickets rises above its ends: mean over seeds, and their band.

    Args:
      heights: Columns `seed`; `pair`, the denser ticket's level; `setting`, `'rewinding'` or `'no rewinding'`;
        `barrier`, see `metric`; perhaps `recalibrated`, bool: one panel each.
      metric: `'error'` (fractions, drawn in points) or `'loss'` (nats).
      densities: Of every level, to label the tickets by; by level otherwise.

    Returns:
      The figure; a barrier stands between its two tickets.

    Raises:
      UserError: If there is nothing to draw, a name is unknown, a pair was measured twice, or densities are too few.

    Example:
      >>> table = pd.DataFrame({'seed': [0], 'pair': [0], 'setting': ['rewinding'], 'barrier': [0.01]})
      >>> barriers(table).axes[0].get_ylabel()
      'error barrier (points)'

    References:
      Frankle et al., Linear Mode Connectivity and the Lottery Ticket Hypothesis, ICML 2020, section 2.
    """
    scale, _ = _METRICS[one_of("metric", metric, _METRICS)]
    if heights.empty:
        raise UserError("got no barrier to draw; give a row a pair")
    values = heights.assign(value=scale * heights["barrier"], coefficient=0.5)  # drawn midway between its tickets
    both = {True: values} if "recalibrated" not in values else dict(list(values.groupby("recalibrated")))
    figure, row = style.panels(len(both), style.TWO_COLUMNS / 2, height=2.3)
    for axes, (recalibrated, chosen) in zip(row, sorted(both.items(), reverse=True), strict=True):
        axes.axhline(0, color="black", linewidth=0.7)
        _curves(axes, chosen, size=3.2)
        _tickets([axes], heights, densities, style.TWO_COLUMNS / 2)
        axes.set_title(_STATISTICS[bool(recalibrated)] if "recalibrated" in values else "")
    row[0].set_ylabel("error barrier (points)" if metric == "error" else "loss barrier (nats)")
    style.legend(figure, row, columns=2)
    return figure


def _curves(axes: Axes, points: pd.DataFrame, size: float) -> None:
    if points.duplicated(["seed", "setting", "pair", "coefficient"]).any():
        raise UserError("got several values for one seed, setting, pair and coefficient; give one panel each")
    for setting in points["setting"].unique():
        one_of("setting", setting, _SETTINGS)
    for setting, look in _SETTINGS.items():
        over_seeds = points[points["setting"] == setting].groupby(["pair", "coefficient"])["value"]
        mean = over_seeds.mean()
        if len(mean):
            x = mean.index.get_level_values("pair") + mean.index.get_level_values("coefficient")
            style.band(axes, x, mean, over_seeds.std(), look, size)


def _tickets(column: Sequence[Axes], table: pd.DataFrame, densities: Sequence[float] | None, width: float) -> None:
    levels = int(table["pair"].max()) + 2
    names = [str(level) for level in range(levels)] if densities is None else [f"{d:.2g}" for d in densities]
    if len(names) < levels:
        raise UserError(f"got {len(names)} densities for {levels} tickets; give one a level")
    shown = style.thinned(names[:levels], width)
    for axes in column:
        axes.set_xticks(range(levels), shown)
        axes.set_xlim(-0.02 * levels, levels - 1 + 0.02 * levels)
        axes.grid(axis="both", **style.GRID)
    column[-1].set_xlabel("level" if densities is None else "density")
