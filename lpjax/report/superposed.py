"""The table of a sparse run: what every network reaches, gains and costs."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from lpjax.report import arms, style, tables
from lpjax.report.tables import Spread


class Row(NamedTuple):
    """One network in numbers, over seeds. What was not measured or not recorded is `None`.

    Attributes:
      method: `'base'`, `'cheap'`, or what was made of cheap tickets.
      tickets: Which cheap ticket it is, or how many it is made of; 0 for the base network.
      accuracy: On test, a fraction.
      base_gain: Accuracy on test less the base network's, within a seed.
      ticket_gain: Accuracy on test less that of the last cheap ticket it is made of, within a seed.
      better: Seeds in which it is above the base network.
      nll: Negative log likelihood on test, nats.
      ece: Expected calibration error on test, a fraction.
      density: Share of the prunable weights kept, mean over seeds.
      unpruned_density: Of an average before it was pruned, mean over seeds.
      inference_flops: Of a forward pass, a share of the dense network's, mean over seeds.
      training_flops: Of all training up to it, a share of the dense network's, mean over seeds.
    """

    method: str
    tickets: int
    accuracy: Spread | None
    base_gain: Spread | None
    ticket_gain: Spread | None
    better: int
    nll: Spread | None
    ece: Spread | None
    density: float | None
    unpruned_density: float | None
    inference_flops: float | None
    training_flops: float | None


def rows(workdir: Path, results: pd.DataFrame) -> list[Row]:
    """Sums every network up: the base network, every cheap ticket, and what is made of the most cheap tickets.

    Args:
      workdir: A sparse run's.
      results: Measurements, as `reading.results` gives them.

    Returns:
      One record a network.
    """
    results = arms.named(results)
    accuracy, nll, ece = (tables.wide(results, "test", metric) for metric in ("accuracy", "nll", "ece"))

    def at(table: pd.DataFrame, method: str, level: int) -> pd.Series:
        """One network's values by (seed, level); the base network's too stand at the level."""
        values = table[method] if method in table else pd.Series(float("nan"), table.index)
        values = values[values.index.get_level_values("level") == (0 if method == arms.BASE else level)]
        return values.rename(lambda _: level, level="level")

    def row(method: str, level: int) -> Row:
        own = at(accuracy, method, level)
        base_gain = own - at(accuracy, arms.BASE, level)
        made = method not in (arms.BASE, arms.CHEAP)
        seeds = own.dropna().index.get_level_values("seed")
        return Row(
            method=method,
            tickets=level,
            accuracy=tables.spread(own),
            base_gain=tables.spread(base_gain) if method != arms.BASE else None,
            ticket_gain=tables.spread(own - at(accuracy, arms.CHEAP, level)) if made else None,
            better=int((base_gain > 0).sum()),
            nll=tables.spread(at(nll, method, level)),
            ece=tables.spread(at(ece, method, level)),
            **arms.costs(workdir, method, level, seeds),
        )

    levels = {str(method): sorted(set(table["level"])) for method, table in results.groupby("method")}
    shown = {method: found if method == arms.CHEAP else found[-1:] for method, found in levels.items()}
    return [row(method, level) for method in style.in_order(levels) for level in shown[method]]
