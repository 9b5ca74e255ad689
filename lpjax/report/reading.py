"""What a work directory holds by now, finished or not, as tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lpjax import store
from lpjax.store import paths


def results(workdir: Path) -> pd.DataFrame:
    """Reads everything measured.

    Args:
      workdir: A run's.

    Returns:
      One row a measurement, with the columns of results.csv; no rows while nothing is measured.
    """
    path = paths.results(workdir)
    return pd.DataFrame(store.read_results(path) if path.exists() else [], columns=list(store.Result._fields))


def trials(workdir: Path, method: str) -> pd.DataFrame:
    """Reads what every pool of one method tried.

    Args:
      workdir: A run's.
      method: Name of the pool.

    Returns:
      One row a trial: `seed`, `anchor`, `newcomer` (levels), `coefficient`, `accepted`.
    """
    rows = [
        {**trial, "seed": seed, "anchor": anchor}
        for seed, anchor, directory in _levels(workdir, f"seed_*/pools/{method}")
        for trial in json_or_empty(paths.trace(directory)).get("trials", ())
    ]
    return pd.DataFrame(rows, columns=["seed", "anchor", "newcomer", "coefficient", "accepted"])


def epochs(workdir: Path, columns: Sequence[str] = ("validation_accuracy",)) -> pd.DataFrame:
    """Reads how every level trained.

    Args:
      workdir: A run's.
      columns: What to read of every epoch, all numbers.

    Returns:
      One row an epoch: `seed`, `level`, `epoch`, the columns (NaN where not recorded), and `kept`: whether the ticket
      is of this epoch. Levels in training are there too, without a ticket yet.
    """
    rows = []
    for seed, level, directory in _levels(workdir, "seed_*"):
        summary = json_or_empty(paths.summary(directory))
        for line in store.read_jsonl(paths.metrics(directory)):
            kept = line["epoch"] == summary.get("epoch")
            rows.append((seed, level, line["epoch"], *map(line.get, columns), kept))
    table = pd.DataFrame(rows, columns=["seed", "level", "epoch", *columns, "kept"])
    return table.astype(dict.fromkeys(columns, float))


def progress(workdir: Path) -> list[dict[str, int]]:
    """Counts what is done of what the config asks for.

    Args:
      workdir: A run's; of a directory without a config nothing can be said.

    Returns:
      One record a seed: `seed`; `tickets` of `levels`, `pools` of `all_pools`.
    """
    config = json_or_empty(paths.config(workdir))
    if not {"seeds", "imp", "pool"} <= set(config):
        return []
    levels, methods = config["imp"]["levels"], config["pool"]["methods"]
    return [
        {
            "seed": seed,
            "tickets": sum(paths.summary(paths.level(workdir, seed, level)).exists() for level in range(levels)),
            "levels": levels,
            "pools": sum(
                paths.summary(paths.pool(workdir, seed, method, level)).exists()
                for method in methods
                for level in range(levels)
            ),
            "all_pools": levels * len(methods),
        }
        for seed in config["seeds"]
    ]


def json_or_empty(path: Path) -> dict[str, Any]:
    """Reads a record that may not have been written yet.

    Args:
      path: The record's.

    Returns:
      What it holds; nothing if it is missing.
    """
    return store.read_json(path) if path.exists() else {}


def _levels(workdir: Path, parent: str) -> list[tuple[int, int, Path]]:
    found = workdir.glob(f"{parent}/level_*")
    return sorted((_number(path.relative_to(workdir).parts[0]), _number(path.name), path) for path in found)


def _number(name: str) -> int:
    return int(name.rpartition("_")[2])
