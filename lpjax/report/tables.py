"""Numbers for people: measurements gathered over levels and seeds."""

from collections.abc import Hashable
from typing import Any, NamedTuple

import pandas as pd

from lpjax.report import style


class Spread(NamedTuple):
    """A mean over levels and seeds."""

    mean: float  # over seeds of the mean over levels
    std: float | None  # of the seeds' means (n - 1 in the denominator); None for one seed: no spread
    seeds: int
    levels: int  # the same for every seed


class Row(NamedTuple):
    """One method in numbers, fractions and nats. What was not measured is `None`."""

    method: str  # as results.csv names it
    accuracy: Spread | None  # on test
    gain: Spread | None  # accuracy less the ticket's, within a seed and level
    control_gain: Spread | None  # accuracy less the recalibrated ticket's, within a seed and level
    above: int  # levels where the mean gain over the ticket is above zero
    validation: Spread | None
    gap: Spread | None  # accuracy on validation less that on test, within a seed and level
    nll: Spread | None
    ece: Spread | None


def wide(results: pd.DataFrame, split: str, metric: str) -> pd.DataFrame:
    """Spread one measurement out: a row a seed and level, a column a method, NaN where not measured."""
    chosen = results[(results["split"] == split) & (results["metric"] == metric)]
    return chosen.pivot(index=["seed", "level"], columns="method", values="value")


def densities(results: pd.DataFrame) -> pd.Series:
    """Give the density of every level, mean over seeds."""
    return results.groupby("level")["density"].mean()


def finished(values: pd.Series) -> pd.DataFrame:
    """Keep the seeds that can be averaged, of values by (seed, level): a row a seed, a column a level, no NaN.

    The levels are those of the seed that got furthest; seeds that lack one of them are unfinished and left out, since a
    mean over fewer levels is another number.
    """
    by_seed = values.dropna().unstack("level")
    if by_seed.empty:
        return by_seed
    furthest = by_seed.notna().sum(axis="columns").argmax()
    return by_seed.loc[:, by_seed.iloc[furthest].notna()].dropna()


def spread(values: pd.Series) -> Spread | None:
    """Average values by (seed, level) over levels, then over the seeds that are finished; None if there are none.

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
    """Sum every method up, tickets first."""
    methods = style.in_order(set(results["method"]))
    # A method that was not measured has an empty column, so that nothing below needs to ask.
    wanted = [*methods, *{"ticket", "recalibrated"}.difference(methods)]
    test = wide(results, "test", "accuracy").reindex(columns=wanted)
    validation = wide(results, "validation", "accuracy").reindex(columns=wanted)
    nll = wide(results, "test", "nll").reindex(columns=wanted)
    ece = wide(results, "test", "ece").reindex(columns=wanted)
    found = []
    for method in methods:
        gain = test[method] - test["ticket"]
        control_gain = test[method] - test["recalibrated"]
        row = Row(
            method=method,
            accuracy=spread(test[method]),
            gain=spread(gain) if method != "ticket" else None,
            control_gain=spread(control_gain) if method not in ("ticket", "recalibrated") else None,
            above=int((finished(gain).mean() > 0).sum()),
            validation=spread(validation[method]),
            gap=spread(validation[method] - test[method]),
            nll=spread(nll[method]),
            ece=spread(ece[method]),
        )
        found.append(row)
    return found


def sizes(results: pd.DataFrame) -> list[dict[Hashable, Any]]:
    """Give what `lpjax.shrink` leaves of networks, level by level, in shares of the dense network, mean over seeds.

    A row has `level`, `density`, `method` and `parameters`, `flops`, `bytes`, and `milliseconds` if they were measured
    of every network. Without measured sizes there are no rows.
    """
    sized = results[results["split"] == "size"]
    if sized.empty:
        return []
    values = sized.pivot_table(index=["level", "method"], columns="metric", values="value", aggfunc="mean")
    shares = pd.DataFrame({"density": densities(results).reindex(values.index, level="level")})
    for name in ("parameters", "flops", "bytes", "milliseconds"):
        if name in values and values[name].notna().all():
            shares[name] = values[f"shrunk_{name}"] / values[name]
    return shares.reset_index().to_dict("records")


def by_level(results: pd.DataFrame) -> list[dict[str, Any]]:
    """Give test accuracy level by level: `level`, `density`, `kept`, and `accuracy`, a `Spread` over seeds a method."""
    methods = style.in_order(set(results["method"]))
    test = wide(results, "test", "accuracy").reindex(columns=methods)
    found = []
    for level, density, kept in results.groupby("level")[["density", "kept"]].mean().itertuples():
        here = test[test.index.get_level_values("level") == level]
        accuracy = {method: spread(here[method]) for method in methods}
        found.append({"level": level, "density": density, "kept": round(kept), "accuracy": accuracy})
    return found
