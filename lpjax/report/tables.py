"""Numbers for people: results.csv gathered over levels and seeds."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from lpjax import store
from lpjax.store import paths


class Headline(NamedTuple):
    """One method, on test, averaged over levels.

    Attributes:
      method: Its name.
      accuracy: Mean over seeds of the mean over levels, a fraction.
      gain: The same of its difference to the tickets, in points (hundredths of accuracy).
      spread: Standard deviation of that gain over seeds, in points; NaN for one seed.
      control_gain: Its difference to the recalibrated tickets, in points; NaN without them.
      seeds: How many.
      gap: Mean of validation minus test accuracy, in points: how much selection flatters itself.
      nll: Mean negative log likelihood, nats.
      ece: Mean expected calibration error, a fraction.
    """

    method: str
    accuracy: float
    gain: float
    spread: float
    control_gain: float
    seeds: int
    gap: float
    nll: float
    ece: float


def read(workdir: Path) -> pd.DataFrame:
    """Reads results.csv.

    Args:
      workdir: A run's.

    Returns:
      One row a measurement; no rows while nothing is measured.
    """
    path = paths.results(workdir)
    rows = store.read_results(path) if path.exists() else []
    return pd.DataFrame(rows, columns=list(store.Result._fields))


def methods(results: pd.DataFrame) -> list[str]:
    """Lists the methods there are: the ticket, the control, then pools as they were asked for.

    Args:
      results: From `read`.

    Returns:
      Their names.
    """
    found = list(dict.fromkeys(results["method"]))
    return sorted(
        found, key=lambda m: ({"ticket": 0, "recalibrated": 1, "interpolation": 2, "average": 3}.get(m, 4), m)
    )


def by_level(results: pd.DataFrame, split: str = "test", metric: str = "accuracy") -> pd.DataFrame:
    """Spreads one measurement out by seed and level (rows) and method (columns).

    Args:
      results: From `read`.
      split: `'validation'` or `'test'`.
      metric: `'accuracy'`, `'nll'` or `'ece'`.

    Returns:
      A table with the index (seed, level) and the methods as columns; missing measurements are NaN.
    """
    chosen = results[(results["split"] == split) & (results["metric"] == metric)]
    return chosen.pivot(index=["seed", "level"], columns="method", values="value")


def headlines(results: pd.DataFrame) -> list[Headline]:
    """Averages every method over levels and seeds.

    Only levels that have the method, the ticket and (where it was asked for) the control enter its differences.

    Args:
      results: From `read`.

    Returns:
      One record a method.
    """
    if results.empty:
        return []
    test, validation = by_level(results), by_level(results, split="validation")
    nll, ece = by_level(results, metric="nll"), by_level(results, metric="ece")
    rows = []
    for method in methods(results):
        gains = _by_seed(100 * (test[method] - test["ticket"]))
        control = test["recalibrated"] if "recalibrated" in test else test["ticket"] * float("nan")
        rows.append(
            Headline(
                method=method,
                accuracy=_by_seed(test[method]).mean(),
                gain=gains.mean(),
                spread=gains.std(),
                control_gain=_by_seed(100 * (test[method] - control)).mean(),
                seeds=len(gains),
                gap=_by_seed(100 * (validation[method] - test[method])).mean(),
                nll=_by_seed(nll[method]).mean(),
                ece=_by_seed(ece[method]).mean(),
            )
        )
    return rows


def levels(results: pd.DataFrame) -> pd.DataFrame:
    """Averages test accuracy over seeds, level by level.

    Args:
      results: From `read`.

    Returns:
      One row a level: density, then a column a method.
    """
    table = by_level(results).groupby("level").mean()[methods(results)]
    density = results.groupby("level")["density"].first()
    return table.assign(density=density).reset_index()


def _by_seed(values: pd.Series) -> pd.Series:
    return values.dropna().groupby("seed").mean()
