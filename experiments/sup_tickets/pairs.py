"""Two networks per seed on the same test images: how far apart, and how surely.

A comparison is a row of a table, over the seeds that have both networks: `seeds`, the means `base` and `value` of the
two, their `difference`, each with its standard deviation over seeds (`_std`, n - 1 in the denominator); `low` and
`high`, the 95 % interval of the difference by Student's t over seeds; `images_low` and `images_high`, that of a paired
bootstrap over test images; `above` and `below`, seeds in which the network is above and below its base. NaN is what is
not known.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from lpjax.errors import UserError
from lpjax.metrics import mean_interval, paired_bootstrap

Answers = Mapping[int, np.ndarray]
"""Which test images a network classifies correctly, `[N]` bool, by seed."""


def compare(network: Answers, base: Answers) -> dict[str, Any]:
    """Compare accuracies on test, seed by seed and image by image."""
    accuracies = [{seed: float(right.mean()) for seed, right in answers.items()} for answers in (network, base)]
    pair = compare_values(*accuracies)
    seeds = [seed for seed in network if seed in base]
    images = paired_bootstrap(np.stack([network[seed] for seed in seeds]), np.stack([base[seed] for seed in seeds]))
    return pair | {"images_low": images.low, "images_high": images.high}


def compare_values(network: Mapping[int, float], base: Mapping[int, float]) -> dict[str, Any]:
    """Compare any measure, seed by seed, without an interval over images."""
    seeds = [seed for seed in network if seed in base]
    if not seeds:
        raise UserError("no seed has both networks of a comparison; measure both")
    values = np.array([network[seed] for seed in seeds])
    bases = np.array([base[seed] for seed in seeds])
    _, low, high = mean_interval(values - bases)
    return {
        "seeds": len(seeds),
        **mean("base", bases),
        **mean("value", values),
        **mean("difference", values - bases),
        "low": low,
        "high": high,
        "images_low": float("nan"),
        "images_high": float("nan"),
        "above": int((values > bases).sum()),
        "below": int((values < bases).sum()),
    }


def mean(name: str, values: np.ndarray) -> dict[str, float]:
    """Return a mean over seeds, and under `<name>_std` its standard deviation; NaN for one seed."""
    std = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
    return {name: float(values.mean()), f"{name}_std": std}


def per_seed(labels: Mapping[str, Any], values: Mapping[int, float]) -> list[dict[str, Any]]:
    """Make one row per seed, of labels, `seed` and `value`."""
    return [{**labels, "seed": seed, "value": value} for seed, value in values.items()]
