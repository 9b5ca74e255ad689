"""The table of a sparse run: what every network reaches, gains and costs."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from lpjax.report import arms, style, tables
from lpjax.report.tables import Spread


class Row(NamedTuple):
    """One network in numbers, over seeds: fractions, nats, and FLOPs as shares of the dense network's.

    What was not measured or not recorded is `None`. Costs are means over seeds.
    """

    method: str  # 'base', 'cheap', or what was made of cheap tickets
    tickets: int  # which cheap ticket it is, or how many it is made of; 0 for the base network
    accuracy: Spread | None  # on test
    base_gain: Spread | None  # accuracy less the base network's, within a seed
    ticket_gain: Spread | None  # accuracy less that of the last cheap ticket it is made of, within a seed
    better: int  # seeds in which it is above the base network
    nll: Spread | None
    ece: Spread | None
    density: float | None
    unpruned_density: float | None  # of an average before it was pruned
    inference_flops: float | None  # of a forward pass
    training_flops: float | None  # of all training up to it


def rows(workdir: Path, results: pd.DataFrame) -> list[Row]:
    """Sum every network up: the base network, every cheap ticket, and what is made of the most cheap tickets."""
    results = arms.named(results)
    accuracy = tables.wide(results, "test", "accuracy")
    nll = tables.wide(results, "test", "nll")
    ece = tables.wide(results, "test", "ece")
    levels = {str(method): sorted(set(table["level"])) for method, table in results.groupby("method")}
    found = []
    for method in style.in_order(levels):
        for level in levels[method] if method == arms.CHEAP else levels[method][-1:]:
            own = _at(accuracy, method, level)
            base_gain = own - _at(accuracy, arms.BASE, level)
            made = method not in (arms.BASE, arms.CHEAP)
            row = Row(
                method=method,
                tickets=level,
                accuracy=tables.spread(own),
                base_gain=tables.spread(base_gain) if method != arms.BASE else None,
                ticket_gain=tables.spread(own - _at(accuracy, arms.CHEAP, level)) if made else None,
                better=int((base_gain > 0).sum()),
                nll=tables.spread(_at(nll, method, level)),
                ece=tables.spread(_at(ece, method, level)),
                **arms.costs(workdir, method, level, own.dropna().index.get_level_values("seed")),
            )
            found.append(row)
    return found


def _at(table: pd.DataFrame, method: str, level: int) -> pd.Series:
    """One network's values by (seed, level); the base network's too stand at the level."""
    values = table[method] if method in table else pd.Series(float("nan"), table.index)
    values = values[values.index.get_level_values("level") == (0 if method == arms.BASE else level)]
    return values.rename(lambda _: level, level="level")
