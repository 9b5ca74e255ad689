"""What a sparse run's work directory holds by now: two arms a seed, the base network and Sup-tickets."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from lpjax import store, train
from lpjax.report import reading
from lpjax.store import paths

BASE = "base"
CHEAP = "cheap"
_CURVES = ("step", "learning_rate", "validation_accuracy", "density", "explored", "flops")
_COSTS = ("density", "unpruned_density", "inference_flops", "training_flops")


class Plan(NamedTuple):
    """What a config asks of every seed; lengths in epochs."""

    epochs: float  # of either arm
    before: float  # the first cycle
    cycles: int  # each yields one cheap ticket
    base: bool  # whether the base network is trained too
    averages: tuple[str, ...]  # what is made of the cheap tickets, after each of them


def is_sparse(config: dict[str, Any]) -> bool:
    """Tell whether a run trains sparse networks from the start, rather than tickets by iterative pruning."""
    return config.get("sparse", {}).get("method", "none") != "none"


def plan(workdir: Path) -> Plan | None:
    """Read what a config asks for; `None` before the first epoch, which tells how many steps an epoch has."""
    recorded = epochs(workdir)
    if recorded.empty:
        return None
    config = store.read_json_or_empty(paths.config(workdir))
    settings = config["superpose"]
    steps_per_epoch = round((recorded["step"] / recorded["epoch"]).iloc[0])
    total = train.steps(config["train"]["duration"], steps_per_epoch)
    phases = train.phases(total, settings["share"], train.steps(settings["cycle"], steps_per_epoch))
    averages = (*settings["averages"], *(["ensemble"] if settings["ensemble"] else []))
    before = phases.before / steps_per_epoch
    return Plan(total / steps_per_epoch, before, phases.cycles, bool(settings["base"]), averages)


def epochs(workdir: Path) -> pd.DataFrame:
    """Read how both arms trained: as `reading.epochs`, in the order of training, with `arm`, `'base'` or `'cheap'`."""
    table = reading.epochs(workdir, _CURVES)
    return table.assign(arm=_arm_of(table["level"]))


def named(results: pd.DataFrame) -> pd.DataFrame:
    """Call the networks that training left `'base'` and `'cheap'` instead of `'ticket'`, by the arm of their level."""
    return results.assign(method=results["method"].where(results["method"] != "ticket", _arm_of(results["level"])))


def costs(workdir: Path, method: str, level: int, seeds: Iterable[int]) -> dict[str, float | None]:
    """Read what a network costs, mean over seeds; `None` if not recorded. Averages took their cheap tickets' training.

    FLOPs are shares of the dense network's; `unpruned_density` is that of an average before it was pruned.
    """
    rows = []
    for seed in seeds:
        cost = store.read_json_or_empty(paths.summary(paths.level(workdir, seed, level)))
        if method not in (BASE, CHEAP):
            made = store.read_json_or_empty(paths.summary(paths.pool(workdir, seed, method, level)))
            cost = {"training_flops": cost.get("training_flops")} | made
        rows.append(cost)
    means = pd.DataFrame(rows, columns=list(_COSTS), dtype=float).mean()
    return {cost: None if pd.isna(means[cost]) else float(means[cost]) for cost in _COSTS}


def progress(workdir: Path) -> list[dict[str, Any]]:
    """Count what is done of what the config asks for: for every seed `parts`, each `(name, done, all)`.

    Nothing can be said before the first epoch, and a seed whose networks are all measured lacks nothing.
    """
    asked = plan(workdir)
    if asked is None:
        return []
    recorded = epochs(workdir)
    seeds = store.read_json_or_empty(paths.config(workdir))["seeds"]
    return [_progress(workdir, seed, asked, recorded[recorded["seed"] == seed]) for seed in seeds]


def _progress(workdir: Path, seed: int, asked: Plan, recorded: pd.DataFrame) -> dict[str, Any]:
    cycles = range(1, asked.cycles + 1)
    base = [paths.level(workdir, seed, 0)] if asked.base else []
    tickets = [paths.level(workdir, seed, level) for level in cycles]
    pools = [paths.pool(workdir, seed, name, level) for name in asked.averages for level in cycles]
    networks = base + tickets + pools
    measured = reading.count(networks, paths.evaluation)
    reached = recorded.groupby("arm")["epoch"].max()
    parts = [
        ("epochs of the base network", reached.get(BASE, 0), asked.epochs * bool(base)),
        ("epochs of Sup-tickets", reached.get(CHEAP, 0), asked.epochs * bool(tickets)),
        ("cheap tickets", reading.count(tickets, paths.summary), len(tickets)),
        ("networks made of them", reading.count(pools, paths.summary), len(pools)),
        ("networks measured", measured, len(networks)),
    ]
    parts = [part for part in parts if part[2]]
    return {"seed": seed, "parts": parts, "unfinished": measured < len(networks)}


def _arm_of(levels: pd.Series) -> pd.Series:
    return levels.map(lambda level: CHEAP if level else BASE)
