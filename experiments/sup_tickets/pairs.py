"""Two networks per seed on the same test images: how far apart, and how surely."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from lpjax.errors import UserError
from lpjax.metrics import paired_bootstrap

Answers = Mapping[int, np.ndarray]
"""Which test images a network classifies correctly, `[N]` bool, by seed."""


class Pair(NamedTuple):
    """A network less its base within a seed, over the seeds that have both; NaN where something is not known.

    Attributes:
      seeds: How many.
      base: Mean of the base.
      base_std: Over seeds (n - 1 in the denominator).
      value: Mean of the network.
      value_std: Over seeds.
      difference: Mean of the network less the base.
      difference_std: Of the differences, over seeds.
      low: Lower end of the 95 % interval of Student's t over seeds.
      high: Its upper end.
      images_low: Lower end of the 95 % interval of a paired bootstrap over test images.
      images_high: Its upper end.
      above: Seeds in which the network is above its base.
      below: Seeds in which it is below.
    """

    seeds: int
    base: float
    base_std: float
    value: float
    value_std: float
    difference: float
    difference_std: float
    low: float
    high: float
    images_low: float
    images_high: float
    above: int
    below: int


def compare(network: Answers, base: Answers) -> Pair:
    """Compare accuracies on test, seed by seed and image by image."""
    accuracies = [{seed: float(right.mean()) for seed, right in answers.items()} for answers in (network, base)]
    pair = compare_values(*accuracies)
    seeds = [seed for seed in network if seed in base]
    images = paired_bootstrap(np.stack([network[seed] for seed in seeds]), np.stack([base[seed] for seed in seeds]))
    return pair._replace(images_low=images.low, images_high=images.high)


def compare_values(network: Mapping[int, float], base: Mapping[int, float]) -> Pair:
    """Compare any measure, seed by seed, without an interval over images.

    Example:
      >>> pair = compare_values({0: 0.5, 1: 0.75}, {0: 0.25, 1: 0.25})
      >>> pair.difference, round(pair.low, 3), round(pair.high, 3)
      (0.375, -1.213, 1.963)
    """
    seeds = [seed for seed in network if seed in base]
    if not seeds:
        raise UserError("no seed has both networks of a comparison; measure both")
    values = np.array([network[seed] for seed in seeds])
    bases = np.array([base[seed] for seed in seeds])
    differences = values - bases
    low, high = interval(differences)
    return Pair(
        seeds=len(seeds),
        base=float(bases.mean()),
        base_std=spread(bases),
        value=float(values.mean()),
        value_std=spread(values),
        difference=float(differences.mean()),
        difference_std=spread(differences),
        low=low,
        high=high,
        images_low=float("nan"),
        images_high=float("nan"),
        above=int((differences > 0).sum()),
        below=int((differences < 0).sum()),
    )


def interval(differences: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Return the interval of a mean by Student's t: NaN for one seed, both the mean where all are alike."""
    if len(differences) == 1:
        return float("nan"), float("nan")
    mean = differences.mean()
    error = spread(differences) / len(differences) ** 0.5
    reach = stats.t.ppf((1 + level) / 2, len(differences) - 1) * error
    return float(mean - reach), float(mean + reach)


def spread(values: np.ndarray) -> float:
    """Return the standard deviation over seeds, with n - 1 in the denominator; NaN for one seed."""
    return float(values.std(ddof=1)) if len(values) > 1 else float("nan")


def frame(rows: Sequence[tuple[Mapping[str, Any], Pair]]) -> pd.DataFrame:
    """Make a table for a CSV file: one row per comparison, its labels, then the fields of its pair."""
    return pd.DataFrame([{**labels, **pair._asdict()} for labels, pair in rows])


def per_seed(labels: Mapping[str, Any], values: Mapping[int, float]) -> list[dict[str, Any]]:
    """Make one row per seed, of labels, `seed` and `value`."""
    return [{**labels, "seed": seed, "value": value} for seed, value in values.items()]
