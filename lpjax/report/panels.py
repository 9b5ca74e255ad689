"""Several experiments side by side: one panel each, one legend for all."""

import math
from collections.abc import Mapping, Sequence

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lpjax.choices import one_of
from lpjax.errors import UserError
from lpjax.report import style, tables

_METRICS = {"accuracy": (100, "accuracy (%)"), "nll": (1, "loss (nats)"), "ece": (100, "calibration error (%)")}


@matplotlib.rc_context(style.SETTINGS)
def panels(
    experiments: Sequence[tuple[str, pd.DataFrame]],
    methods: Sequence[str],
    *,
    split: str = "test",
    metric: str = "accuracy",
    labels: Mapping[str, str] | None = None,
    dense: bool = False,
) -> Figure:
    """Draw a measurement against density for several experiments: mean over seeds, band of one standard deviation.

    Args:
      experiments: Title and measurements (as `reading.results` gives them) of every panel, up to four.
      methods: Curves to draw, in the legend's order; where an experiment lacks one, its panel does.
      split: `'validation'` or `'test'`.
      metric: `'accuracy'`, `'nll'` or `'ece'`.
      labels: Names for the legend instead of the methods' own, by method.
      dense: Whether to draw the dense ticket's value as a dotted line.

    Returns:
      The figure, as wide as two columns; of one experiment, as one column.

    Raises:
      UserError: If there is no experiment, or no experiment measured one of the methods, or the metric is unknown.

    Example:
      >>> rows = [(0, level, 0.8**level, 'ticket', 'test', 'accuracy', 0.9) for level in (0, 1)]
      >>> names = ['seed', 'level', 'density', 'method', 'split', 'metric', 'value']
      >>> results = pd.DataFrame(rows, columns=names)
      >>> [axes.get_title() for axes in panels([('digits', results), ('letters', results)], ['ticket']).axes]
      ['digits', 'letters']

    References:
      Yin et al., Lottery Pools, AAAI 2023, Figures 3 to 7.
    """
    scale, words = _METRICS[one_of("metric", metric, _METRICS)]
    measured = [(title, table, scale * tables.wide(table, split, metric)) for title, table in experiments]
    if not measured:
        raise UserError("got no experiment to draw; give one panel or more")
    known = {str(method) for _, _, values in measured for method in values}
    for method in methods:
        one_of(f"method on {split} {metric}", method, style.in_order(known))
    width = style.TWO_COLUMNS / max(len(measured), 2)
    figure, row = style.panels(len(measured), width, height=2.5, share=False)
    for axes, (title, table, values) in zip(row, measured, strict=True):
        if dense:
            style.dense_line(axes, values)
        style.against_density(axes, values, tables.densities(table), methods, width, size=min(3.2, 1.4 * width))
        axes.set_xlabel("density")
        axes.set_title(title)
    row[0].set_ylabel(f"{split} {words}")
    _legend(figure, row, {style.look(method).name: (labels or {}).get(method) for method in methods})
    return figure


def _legend(figure: Figure, row: Sequence[Axes], labels: Mapping[str, str | None]) -> None:
    drawn = style.handles(row)
    order = [name for name in ("dense", *labels) if name in drawn]
    lines = math.ceil(len(order) / max(int(figure.get_figwidth() / style.LEGEND_ENTRY), 1))
    figure.legend(
        [drawn[name] for name in order],
        [labels.get(name) or name for name in order],
        loc="outside lower center",
        ncols=math.ceil(len(order) / lines),
        columnspacing=1.2,
    )
