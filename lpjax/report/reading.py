"""What a work directory holds by now, finished or not, as tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lpjax import store, train
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
      One row a trial: `seed`, `anchor`, `candidate` (levels), `coefficient`, `accepted`.
    """
    rows = [
        {**_with_new_words(trial), "seed": seed, "anchor": anchor}
        for seed, anchor, directory in _levels(workdir, f"seed_*/pools/{method}")
        for trial in json_or_empty(paths.trace(directory)).get("trials", ())
    ]
    return pd.DataFrame(rows, columns=["seed", "anchor", "candidate", "coefficient", "accepted"])


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
        for line in lines(directory):
            kept = line["epoch"] == summary.get("epoch")
            rows.append((seed, level, line["epoch"], *map(line.get, columns), kept))
    table = pd.DataFrame(rows, columns=["seed", "level", "epoch", *columns, "kept"])
    return table.astype(dict.fromkeys(columns, float))


def progress(workdir: Path) -> list[dict[str, Any]]:
    """Counts what is done of what the config asks for.

    Args:
      workdir: A run's; of a directory without a config nothing can be said.

    Returns:
      One record a seed: `seed`; `tickets` of `levels`, `pools` of `all_pools`; `training`: levels begun and not done,
      each with the `epoch` it has reached, and the last one, `epochs` (`None` if that is not known).
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
            "training": [
                {"level": level, **_reached(paths.level(workdir, seed, level), config)}
                for level in range(levels)
                if not paths.summary(paths.level(workdir, seed, level)).exists()
                and lines(paths.level(workdir, seed, level))
            ],
        }
        for seed in config["seeds"]
    ]


def tickets(workdir: Path) -> pd.DataFrame:
    """Reads what is known of the tickets before they are measured.

    Args:
      workdir: A run's.

    Returns:
      One row a ticket: `seed`, `level`, `kept`, `density`, `epoch` (it is of), `validation_accuracy`.
    """
    columns = ["kept", "density", "epoch", "validation_accuracy"]
    found = [(seed, level, json_or_empty(paths.summary(path))) for seed, level, path in _levels(workdir, "seed_*")]
    rows = [(seed, level, *map(summary.get, columns)) for seed, level, summary in found if summary]
    return pd.DataFrame(rows, columns=["seed", "level", *columns]).astype(dict.fromkeys(columns, float))


def lines(directory: Path) -> list[dict[str, Any]]:
    """Reads the epochs of a level, which may begin anew meanwhile.

    Args:
      directory: The level's.

    Returns:
      One record an epoch.
    """
    try:
        return store.read_jsonl(paths.metrics(directory))
    except FileNotFoundError:
        return []


def json_or_empty(path: Path) -> dict[str, Any]:
    """Reads a record that may not have been written yet.

    Args:
      path: The record's.

    Returns:
      What it holds; nothing if it is missing.
    """
    return store.read_json(path) if path.exists() else {}


def _reached(directory: Path, config: dict[str, Any]) -> dict[str, float | None]:
    newest = lines(directory)[-1]
    duration = config.get("train", {}).get("duration")
    if not duration or not newest.get("step"):
        return {"epoch": newest["epoch"], "epochs": None}
    steps_per_epoch = round(newest["step"] / newest["epoch"])
    return {"epoch": newest["epoch"], "epochs": train.steps(duration, steps_per_epoch) / steps_per_epoch}


def _with_new_words(trial: dict[str, Any]) -> dict[str, Any]:
    """Renames what lpjax 0.1 called a newcomer."""
    return {"candidate" if name == "newcomer" else name: value for name, value in trial.items()}


def _levels(workdir: Path, parent: str) -> list[tuple[int, int, Path]]:
    found = workdir.glob(f"{parent}/level_*")
    return sorted((_number(path.relative_to(workdir).parts[0]), _number(path.name), path) for path in found)


def _number(name: str) -> int:
    return int(name.rpartition("_")[2])
