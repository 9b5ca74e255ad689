"""Numbers for people: measurements gathered over levels and seeds."""

from typing import Any, NamedTuple

import pandas as pd

from lpjax.report import style

_CONTROLS = ("ticket", "recalibrated")


class Spread(NamedTuple):
    """A mean over levels and seeds.

    Attributes:
      mean: Over seeds of the mean over levels.
      std: Of the seeds' means (n - 1 in the denominator); `None` for one seed: no spread.
      seeds: How many.
      levels: How many, the same for every seed.
    """

    mean: float
    std: float | None
    seeds: int
    levels: int


class Row(NamedTuple):
    """One method in numbers. What was not measured is `None`.

    Attributes:
      method: Its name in results.csv.
      accuracy: On test, a fraction.
      gain: Accuracy on test less the ticket's, within a seed and level.
      control_gain: Accuracy on test less the recalibrated ticket's, within a seed and level.
      above: Levels where the mean gain over the ticket is above zero.
      validation: Accuracy on validation, a fraction.
      gap: Accuracy on validation less that on test, within a seed and level.
      nll: Negative log likelihood on test, nats.
      ece: Expected calibration error on test, a fraction.
    """

    method: str
    accuracy: Spread | None
    gain: Spread | None
    control_gain: Spread | None
    above: int
    validation: Spread | None
    gap: Spread | None
    nll: Spread | None
    ece: Spread | None


def wide(results: pd.DataFrame, split: str, metric: str) -> pd.DataFrame:
    """Spreads one measurement out: a row a seed and level, a column a method.

    Args:
      results: Measurements, as `reading.results` gives them.
      split: `'validation'` or `'test'`.
      metric: `'accuracy'`, `'nll'` or `'ece'`.

    Returns:
      Values, NaN where not measured.
    """
    chosen = results[(results["split"] == split) & (results["metric"] == metric)]
    return chosen.pivot(index=["seed", "level"], columns="method", values="value")


def densities(results: pd.DataFrame) -> pd.Series:
    """Gives the density of every level.

    Args:
      results: Measurements, as `reading.results` gives them.

    Returns:
      By level, mean over seeds.
    """
    return results.groupby("level")["density"].mean()


def finished(values: pd.Series) -> pd.DataFrame:
    """Keeps the seeds that can be averaged.

    The levels are those of the seed that got furthest; seeds that lack one of them are unfinished and left out, since a
    mean over fewer levels is another number.

    Args:
      values: By (seed, level); NaN where not measured.

    Returns:
      A row a seed, a column a level, no NaN.
    """
    by_seed = values.dropna().unstack("level")
    if by_seed.empty:
        return by_seed
    furthest = by_seed.notna().sum(axis="columns").argmax()
    return by_seed.loc[:, by_seed.iloc[furthest].notna()].dropna()


def spread(values: pd.Series) -> Spread | None:
    """Averages over levels, then over the seeds that are finished.

    Args:
      values: By (seed, level); NaN where not measured.

    Returns:
      The mean and its spread, or `None` if there are no values.

    Example:
      >>> seeds = pd.MultiIndex.from_tuples([(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)], names=['seed', 'level'])
      >>> spread(pd.Series([0.5, 0.75, 0.5, 1.0, 0.1], seeds))
      Spread(mean=0.6875, std=0.08838834764831845, seeds=2, levels=2)
    """
    table = finished(values)
    if table.empty:
        return None
    means = table.mean(axis="columns")
    std = float(means.std()) if len(means) > 1 else None
    return Spread(float(means.mean()), std, len(means), len(table.columns))


def rows(results: pd.DataFrame) -> list[Row]:
    """Sums every method up.

    Args:
      results: Measurements, as `reading.results` gives them.

    Returns:
      One record a method, tickets first.
    """
    test, validation = wide(results, "test", "accuracy"), wide(results, "validation", "accuracy")
    nll, ece = wide(results, "test", "nll"), wide(results, "test", "ece")

    def row(method: str) -> Row:
        accuracy = _column(test, method)
        gain = accuracy - _column(test, "ticket")
        return Row(
            method=method,
            accuracy=spread(accuracy),
            gain=spread(gain) if method != "ticket" else None,
            control_gain=spread(accuracy - _column(test, "recalibrated")) if method not in _CONTROLS else None,
            above=int((finished(gain).mean() > 0).sum()),
            validation=spread(_column(validation, method)),
            gap=spread(_column(validation, method) - accuracy),
            nll=spread(_column(nll, method)),
            ece=spread(_column(ece, method)),
        )

    return [row(method) for method in style.in_order(set(results["method"]))]


def by_level(results: pd.DataFrame) -> list[dict[str, Any]]:
    """Gives test accuracy level by level.

    Args:
      results: Measurements, as `reading.results` gives them.

    Returns:
      One record a level: `level`, `density`, `kept`, and `accuracy`: a `Spread` over seeds a method, `None` where
      nothing was measured.
    """
    test = wide(results, "test", "accuracy")
    at = test.index.get_level_values("level")
    return [
        {
            "level": level,
            "density": density,
            "kept": round(kept),
            "accuracy": {
                method: spread(_column(test[at == level], method)) for method in style.in_order(set(results["method"]))
            },
        }
        for level, density, kept in results.groupby("level")[["density", "kept"]].mean().itertuples()
    ]


def _column(table: pd.DataFrame, method: str) -> pd.Series:
    return table[method] if method in table else pd.Series(float("nan"), table.index)
