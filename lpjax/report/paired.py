"""A method against the tickets, image by image: tables of paired statistics."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lpjax.errors import UserError
from lpjax.metrics import crossed_bootstrap, mcnemar
from lpjax.report import style, tables

_SEEN = 0.05
_HALF_AN_IMAGE = 0.5

Right = Mapping[tuple[str, int, int], np.ndarray]


class Comparison(NamedTuple):
    """A method less its base on the same test images; accuracies are fractions. What was not measured is `None`."""

    method: str  # as results.csv names it
    base: str
    level: int | None  # None for the mean over all levels
    density: float | None
    seeds: int
    difference: float  # accuracy on test less the base's, within a seed; mean over seeds
    std: float | None  # of the difference, over seeds (n - 1 in the denominator)
    low: float  # lower end of the 95 % interval of the difference, over seeds and test images
    high: float
    p: float | None  # McNemar's p-value, the seeds' answers pooled as if independent; None for all levels
    gap: float | None  # the method's accuracy on validation less that on test, within a seed; mean over seeds
    gap_std: float | None


def compare(results: pd.DataFrame, right: Right, method: str, base: str = "ticket") -> list[Comparison]:
    """Compare a method with the tickets, level by level and over all.

    The interval is that of a bootstrap which resamples seeds and test images together: it covers variation between
    trainings and between images. The p-value covers variation between images alone, with the networks fixed. Over all
    levels, only seeds that have them all count.

    Args:
      results: Measurements, as `reading.results` gives them.
      right: `[N]`, bool, by (method, seed, level): which test images are classified rightly; the same images for all.
      method: What to compare.
      base: What with.

    Returns:
      One record a level that a seed has of both, and one for all levels together.

    Raises:
      UserError: If nothing can be compared, answers are missing, or they are not those that were measured.

    Example:
      >>> rows = [(0, 0, 1.0, 'ticket', 'test', 'accuracy', 0.25), (0, 0, 1.0, 'swa', 'test', 'accuracy', 0.75)]
      >>> names = ['seed', 'level', 'density', 'method', 'split', 'metric', 'value']
      >>> right = {('ticket', 0, 0): np.arange(4) < 1, ('swa', 0, 0): np.arange(4) < 3}
      >>> level, total = compare(pd.DataFrame(rows, columns=names), right, 'swa')
      >>> level.difference, level.p
      (0.5, 0.5)

    References:
      Dietterich, Approximate Statistical Tests, Neural Computation 1998; Owen, The Pigeonhole Bootstrap, 2007.
    """
    test = tables.wide(results, "test", "accuracy")
    validation = tables.wide(results, "validation", "accuracy")
    for name in (method, base):
        if name not in test:
            raise UserError(f"method {name!r} has no accuracy on test; evaluate it first, or compare another")
    gains = (test[method] - test[base]).dropna()
    gaps = (validation[method] - test[method]).dropna() if method in validation else gains.iloc[:0]
    densities = tables.densities(results)

    def record(level: int | None) -> Comparison:
        chosen = _at(gains, level)
        gain = tables.spread(chosen)
        gap = tables.spread(_at(gaps, level))
        if gain is None:
            raise UserError(f"no seed and level has both {method!r} and {base!r}; evaluate both, or compare another")
        compared = tables.finished(chosen)
        mine = _answers(right, test, method, compared)
        others = _answers(right, test, base, compared)
        _, low, high = crossed_bootstrap(mine, others)
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
            gap=gap.mean if gap else None,
            gap_std=gap.std if gap else None,
        )

    levels = sorted(set(gains.index.get_level_values("level")))
    return [record(level) for level in (*levels, None)]


def frame(comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """Make a table for a CSV file: one row a record, in fractions; empty where a field is `None`."""
    table = pd.DataFrame(comparisons, columns=list(Comparison._fields))
    numbers = dict.fromkeys(Comparison._fields[3:], "float64")
    return table.astype(numbers | {"level": "Int64", "seeds": "int64"})


def from_frame(table: pd.DataFrame) -> list[Comparison]:
    """Read back what `frame` wrote; other columns are ignored."""
    compared = []
    for record in table[list(Comparison._fields)].to_dict("records"):
        fields: dict[str, Any] = {str(name): None if pd.isna(value) else value for name, value in record.items()}
        compared.append(Comparison(**fields))
    return compared


def markdown(compared: Sequence[Sequence[Comparison]], labels: Mapping[str, str] | None = None) -> str:
    """Make a Markdown table for people, a row a pair, in points (hundredths of accuracy): means over levels.

    It tells at how many levels McNemar's test finds the method above or below its base. `labels` rename methods.
    """
    head = (
        "method",
        "less",
        "n",
        "difference (points)",
        "95 % interval",
        "p < 0.05 above, below",
        "val - test (points)",
    )
    lines = [_line(head), "|---" * len(head) + "|"]
    for *levels, mean in compared:
        lines.append(_line(_cells(mean, levels, labels or {})))
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(mean: Comparison, levels: Sequence[Comparison], labels: Mapping[str, str]) -> tuple[str, ...]:
    seen = [row.difference > 0 for row in levels if row.p is not None and row.p < _SEEN]
    return (
        labels.get(mean.method, style.look(mean.method).name),
        labels.get(mean.base, style.look(mean.base).name),
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
    """Stack the answers of whole seeds, `[seeds, levels, N]`, once they are seen to be those that were measured."""
    stacked = []
    for seed in whole.index:
        stacked.append([_answer(right, test, method, seed, level) for level in whole])
    return np.stack(stacked)


def _answer(right: Right, test: pd.DataFrame, method: str, seed: Any, level: Any) -> np.ndarray:
    answers = right.get((method, seed, level))
    if answers is None:
        raise UserError(f"got no answers of {method!r}, seed {seed}, level {level}; evaluate it again to keep them")
    measured = float(np.asarray(test.loc[(seed, level), method]))
    answered = float(np.mean(answers))
    if abs(measured - answered) * len(answers) > _HALF_AN_IMAGE:
        raise UserError(
            f"{method!r}, seed {seed}, level {level} answers {answered:.4f} of the images rightly, but results say "
            f"{measured:.4f}; give answers and results of the same evaluation"
        )
    return answers
