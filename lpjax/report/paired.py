"""A method against the tickets, image by image: tables of paired statistics."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lpjax.metrics import mcnemar, paired_bootstrap
from lpjax.report import style, tables

_SEEN = 0.05
_HALF_AN_IMAGE = 0.5

Right = Mapping[tuple[str, int, int], np.ndarray]


class Comparison(NamedTuple):
    """A method less its base on the same test images; accuracies are fractions. What was not measured is `None`.

    Attributes:
      method: Its name in results.csv.
      base: What it is compared with.
      level: The level; `None` for the mean over all of them.
      density: Of the level; `None` for all.
      seeds: How many.
      difference: Accuracy on test less the base's, within a seed; mean over seeds.
      std: Of the difference, over seeds (n - 1 in the denominator); `None` for one seed.
      low: Lower end of the 95 % interval of the difference, from a bootstrap over test images.
      high: Its upper end.
      p: McNemar's p-value, the seeds' answers pooled as if independent; `None` for all levels.
      gap: The method's accuracy on validation less that on test, within a seed; mean over seeds.
      gap_std: Of the gap, over seeds; `None` for one seed.
    """

    method: str
    base: str
    level: int | None
    density: float | None
    seeds: int
    difference: float
    std: float | None
    low: float
    high: float
    p: float | None
    gap: float | None
    gap_std: float | None


def compare(results: pd.DataFrame, right: Right, method: str, base: str = "ticket") -> list[Comparison]:
    """Compares a method with the tickets, level by level and over all.

    The spread over seeds tells how the difference varies from training to training; the interval and the p-value tell
    how surely it is there on other test images, for the networks at hand. Over all levels, only seeds that have them
    all count.

    Args:
      results: Measurements, as `reading.results` gives them.
      right: `[N]`, bool, by (method, seed, level): which test images are classified rightly; the same images for all.
      method: What to compare.
      base: What with.

    Returns:
      One record a level that a seed has of both, and one for all levels together.

    Raises:
      ValueError: If nothing can be compared, answers are missing, or they are not those that were measured.

    Example:
      >>> rows = [(0, 0, 1.0, 'ticket', 'test', 'accuracy', 0.25), (0, 0, 1.0, 'swa', 'test', 'accuracy', 0.75)]
      >>> names = ['seed', 'level', 'density', 'method', 'split', 'metric', 'value']
      >>> right = {('ticket', 0, 0): np.arange(4) < 1, ('swa', 0, 0): np.arange(4) < 3}
      >>> level, total = compare(pd.DataFrame(rows, columns=names), right, 'swa')
      >>> level.difference, level.p
      (0.5, 0.5)

    References:
      Dietterich, Approximate Statistical Tests, Neural Computation 1998; Efron and Tibshirani, 1993.
    """
    test, validation = tables.wide(results, "test", "accuracy"), tables.wide(results, "validation", "accuracy")
    if missing := [name for name in (method, base) if name not in test]:
        raise ValueError(f"method {missing[0]!r} has no accuracy on test; evaluate it first, or compare another")
    gains = (test[method] - test[base]).dropna()
    gaps = (validation[method] - test[method]).dropna() if method in validation else gains.iloc[:0]
    densities = tables.densities(results)

    def record(level: int | None) -> Comparison:
        chosen, gap = (_at(values, level) for values in (gains, gaps))
        gain, gap_spread = tables.spread(chosen), tables.spread(gap)
        if gain is None:
            raise ValueError(f"no seed and level has both {method!r} and {base!r}; evaluate both, or compare another")
        mine, others = (_answers(right, test, name, tables.finished(chosen)) for name in (method, base))
        _, low, high = paired_bootstrap(mine, others)
        return Comparison(
            method=method,
            base=base,
            level=level,
            density=None if level is None else float(densities[level]),
            seeds=gain.seeds,
            difference=gain.mean,
            std=gain.std,
            low=low,
            high=high,
            p=None if level is None else mcnemar(mine, others),
            gap=gap_spread.mean if gap_spread else None,
            gap_std=gap_spread.std if gap_spread else None,
        )

    levels = sorted(set(gains.index.get_level_values("level")))
    return [record(level) for level in (*levels, None)]


def frame(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """Makes a table for a CSV file.

    Args:
      comparisons: Of any methods.

    Returns:
      One row a record, its fields as columns, in fractions; empty where a field is `None`.
    """
    table = pd.DataFrame(comparisons, columns=list(Comparison._fields))
    numbers = dict.fromkeys(Comparison._fields[3:], "float64")
    return table.astype(numbers | {"level": "Int64", "seeds": "int64"})


def markdown(compared: Sequence[Sequence[Comparison]], labels: Mapping[str, str] | None = None) -> str:
    """Makes a table for people, in points (hundredths of accuracy): means over levels.

    Args:
      compared: What `compare` returns, of any methods and bases.
      labels: Names of methods, instead of their own.

    Returns:
      A Markdown table, a row a pair, without a newline at the end. It tells at how many levels McNemar's test finds the
      method above or below its base.
    """
    head = "method", "less", "n", "difference (points)", "95 % interval", "p < 0.05 above, below", "val - test (points)"
    rows = [_cells(mean, levels, labels or {}) for *levels, mean in compared]
    lines = [f"| {' | '.join(row)} |" for row in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


def _cells(mean: Comparison, levels: Sequence[Comparison], labels: Mapping[str, str]) -> tuple[str, ...]:
    seen = [row.difference > 0 for row in levels if row.p is not None and row.p < _SEEN]
    return (
        *(labels.get(method, style.look(method).name) for method in (mean.method, mean.base)),
        str(mean.seeds),
        _points(mean.difference, mean.std),
        f"{100 * mean.low:+.2f} to {100 * mean.high:+.2f}",
        f"{sum(seen)}, {len(seen) - sum(seen)} of {len(levels)}",
        "" if mean.gap is None else _points(mean.gap, mean.gap_std),
    )


def _points(mean: float, std: float | None) -> str:
    return f"{100 * mean:+.2f}" if std is None else f"{100 * mean:+.2f} ± {100 * std:.2f}"


def _at(values: pd.Series, level: int | None) -> pd.Series:
    return values if level is None else values[values.index.get_level_values("level") == level]


def _answers(right: Right, test: pd.DataFrame, method: str, whole: pd.DataFrame) -> np.ndarray:
    """Stacks the answers of whole seeds, `[seeds, levels, N]`, once they are seen to be those that were measured."""
    return np.stack([[_answer(right, test, method, seed, level) for level in whole] for seed in whole.index])


def _answer(right: Right, test: pd.DataFrame, method: str, seed: Any, level: Any) -> np.ndarray:
    key = method, seed, level
    if key not in right:
        raise ValueError(f"got no answers of {method!r}, seed {seed}, level {level}; evaluate it again to keep them")
    measured, answered = float(np.asarray(test.loc[(seed, level), method])), float(np.mean(right[key]))
    if abs(measured - answered) * len(right[key]) > _HALF_AN_IMAGE:
        raise ValueError(
            f"{method!r}, seed {seed}, level {level} answers {answered:.4f} of the images rightly, but results say "
            f"{measured:.4f}; give answers and results of the same evaluation"
        )
    return right[key]
