"""What a work directory holds by now, finished or not, as tables."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lpjax import store, train
from lpjax.errors import UserError
from lpjax.store import paths


def config(workdir: Path) -> dict[str, Any]:
    """Read the config of a run.

    Raises:
      UserError: If the directory is not of a run.
    """
    if not workdir.is_dir():
        raise UserError(f"there is no directory {workdir}; give the --workdir of a run")
    config = store.read_json_or_empty(paths.config(workdir))
    if not isinstance(config, dict) or not {"seeds", "model"} <= set(config):
        raise UserError(f"{workdir} is no work directory: no config of a run is in it; give the --workdir of one")
    return config


def results(workdir: Path) -> pd.DataFrame:
    """Read everything measured: one row a measurement, with the columns of results.csv."""
    path = paths.results(workdir)
    rows = store.read_results(path) if path.exists() else []
    return pd.DataFrame(rows, columns=list(store.Result._fields))


def trials(workdir: Path, method: str) -> pd.DataFrame:
    """Read what every pool of one method tried: `seed`, `anchor`, `candidate` (levels), `coefficient`, `accepted`."""
    rows = []
    for seed, anchor, directory in _levels(workdir, f"seed_*/pools/{method}"):
        for trial in store.read_trials(paths.trace(directory)):
            rows.append((seed, anchor, *map(trial.get, ("candidate", "coefficient", "accepted"))))
    return pd.DataFrame(rows, columns=["seed", "anchor", "candidate", "coefficient", "accepted"])


def epochs(workdir: Path, columns: Sequence[str] = ("validation_accuracy",)) -> pd.DataFrame:
    """Read how every level trained, those in training too: one row an epoch.

    Columns are `seed`, `level`, `epoch`, the given ones (numbers, NaN where not recorded), and `kept`: whether the
    ticket is of this epoch.
    """
    rows = []
    for seed, level, directory in _levels(workdir, "seed_*"):
        summary = store.read_json_or_empty(paths.summary(directory))
        for line in _lines(directory):
            kept = line["epoch"] == summary.get("epoch")
            rows.append((seed, level, line["epoch"], *map(line.get, columns), kept))
    table = pd.DataFrame(rows, columns=["seed", "level", "epoch", *columns, "kept"])
    return table.astype(dict.fromkeys(columns, float))


def tickets(workdir: Path) -> pd.DataFrame:
    """Read what is known of the tickets before they are measured: one row a ticket, with the epoch it is of."""
    columns = ["kept", "density", "epoch", "validation_accuracy"]
    rows = []
    for seed, level, directory in _levels(workdir, "seed_*"):
        summary = store.read_json_or_empty(paths.summary(directory))
        if summary:
            rows.append((seed, level, *map(summary.get, columns)))
    return pd.DataFrame(rows, columns=["seed", "level", *columns]).astype(dict.fromkeys(columns, float))


def levels(workdir: Path, seed: int) -> list[tuple[int, Path]]:
    """List the levels of a seed that are there, finished or not, with their directories."""
    return [(level, directory) for _, level, directory in _levels(workdir, f"seed_{seed}")]


def progress(workdir: Path) -> list[dict[str, Any]]:
    """Count what is done of what the config asks for: for every seed `parts`, each `(name, done, all)`, and `training`.

    That lists levels begun and not done, each with the `epoch` it has reached, and the last one, `epochs` (`None` if
    that is not known). Without a config nothing can be said.
    """
    config = store.read_json_or_empty(paths.config(workdir))
    if not {"seeds", "imp", "pool"} <= set(config):
        return []
    records = []
    for seed in config["seeds"]:
        levels = [paths.level(workdir, seed, level) for level in range(config["imp"]["levels"])]
        pools = []
        for method in config["pool"]["methods"]:
            pools += [paths.pool(workdir, seed, method, level) for level in range(len(levels))]
        training = []
        for level, directory in enumerate(levels):
            if not paths.summary(directory).exists() and _lines(directory):
                training.append({"level": level, **_reached(directory, config)})
        parts = [
            ("tickets", count(levels, paths.summary), len(levels)),
            ("pools", count(pools, paths.summary), len(pools)),
        ]
        records.append({"seed": seed, "parts": parts, "training": training})
    return records


def count(directories: Iterable[Path], record: Callable[[Path], Path]) -> int:
    """Count the directories that have a record, such as their summary."""
    return sum(record(directory).exists() for directory in directories)


def _lines(directory: Path) -> list[dict[str, Any]]:
    """Read the epochs of a level, which may begin anew meanwhile."""
    try:
        return store.read_jsonl(paths.metrics(directory))
    except FileNotFoundError:
        return []


def _reached(directory: Path, config: dict[str, Any]) -> dict[str, float | None]:
    newest = _lines(directory)[-1]
    duration = config.get("train", {}).get("duration")
    if not duration or not newest.get("step"):
        return {"epoch": newest["epoch"], "epochs": None}
    steps_per_epoch = round(newest["step"] / newest["epoch"])
    return {"epoch": newest["epoch"], "epochs": train.steps(duration, steps_per_epoch) / steps_per_epoch}


def _levels(workdir: Path, parent: str) -> list[tuple[int, int, Path]]:
    found = []
    for path in workdir.glob(f"{parent}/level_*"):
        found.append((_number(path.relative_to(workdir).parts[0]), _number(path.name), path))
    return sorted(found)


def _number(name: str) -> int:
    return int(name.rpartition("_")[2])
