"""What a sparse run's work directory holds by now: two arms a seed, the base network and Sup-tickets."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from lpjax import train
from lpjax.report import reading
from lpjax.store import paths

BASE, CHEAP = "base", "cheap"
_TICKET = "ticket"
_CURVES = ("step", "learning_rate", "validation_accuracy", "density", "explored", "flops")
_COSTS = ("density", "unpruned_density", "inference_flops", "training_flops")


class Plan(NamedTuple):
    """What a config asks of every seed; lengths in epochs.

    Attributes:
      epochs: Length of either arm.
      before: Length of what comes before the first cycle.
      cycles: How many follow; each yields one cheap ticket.
      base: Whether the base network is trained too.
      averages: What is made of the cheap tickets, after each of them.
    """

    epochs: float
    before: float
    cycles: int
    base: bool
    averages: tuple[str, ...]


def is_sparse(config: dict[str, Any]) -> bool:
    """Tells whether a run trains sparse networks from the start, rather than tickets by iterative pruning."""
    return config.get("sparse", {}).get("method", "none") != "none"


def plan(workdir: Path) -> Plan | None:
    """Reads what a config asks for.

    Args:
      workdir: A sparse run's.

    Returns:
      The plan; `None` before the first epoch is recorded, which tells how many steps an epoch has.
    """
    config, recorded = reading.json_or_empty(paths.config(workdir)), epochs(workdir)
    if recorded.empty:
        return None
    settings, steps_per_epoch = config["superpose"], round((recorded["step"] / recorded["epoch"]).iloc[0])
    total = train.steps(config["train"]["duration"], steps_per_epoch)
    phases = train.phases(total, settings["share"], train.steps(settings["cycle"], steps_per_epoch))
    averages = (*settings["averages"], *(["ensemble"] if settings["ensemble"] else []))
    return Plan(
        total / steps_per_epoch, phases.before / steps_per_epoch, phases.cycles, bool(settings["base"]), averages
    )


def epochs(workdir: Path) -> pd.DataFrame:
    """Reads how both arms trained.

    Args:
      workdir: A sparse run's.

    Returns:
      As `reading.epochs` gives it, in the order of training, with `arm`: `'base'` or `'cheap'`.
    """
    table = reading.epochs(workdir, _CURVES)
    return table.assign(arm=table["level"].map(lambda level: CHEAP if level else BASE))


def named(results: pd.DataFrame) -> pd.DataFrame:
    """Gives the networks that training left their names, by arm.

    Args:
      results: Measurements, as `reading.results` gives them; `level` counts the cheap tickets collected.

    Returns:
      The same with the methods `'base'` and `'cheap'` for `'ticket'`.
    """
    trained = results["level"].map(lambda level: CHEAP if level else BASE)
    return results.assign(method=results["method"].where(results["method"] != _TICKET, trained))


def costs(workdir: Path, method: str, level: int, seeds: Iterable[int]) -> dict[str, float | None]:
    """Reads what a network costs, mean over seeds. What is made of cheap tickets took their training.

    Args:
      workdir: A sparse run's.
      method: As `named` names it.
      level: How many cheap tickets had been collected.
      seeds: Those to average.

    Returns:
      `density` and `unpruned_density` (of an average before it was pruned); `inference_flops` and `training_flops` as
      shares of the dense network's; `None` if not recorded.
    """
    table = pd.DataFrame([_costs(workdir, method, level, seed) for seed in seeds], columns=list(_COSTS), dtype=float)
    return {cost: None if table[cost].isna().all() else float(table[cost].mean()) for cost in _COSTS}


def _costs(workdir: Path, method: str, level: int, seed: int) -> dict[str, float]:
    trained = reading.json_or_empty(paths.summary(paths.level(workdir, seed, level)))
    if method in (BASE, CHEAP):
        return trained
    made = reading.json_or_empty(paths.summary(paths.pool(workdir, seed, method, level)))
    return {"training_flops": trained.get("training_flops")} | made


def progress(workdir: Path) -> list[dict[str, Any]]:
    """Counts what is done of what the config asks for.

    Args:
      workdir: A sparse run's.

    Returns:
      One record a seed, none before the first epoch: `seed`; `parts`, each `(name, done, all)`; `unfinished`.
    """
    asked, recorded = plan(workdir), epochs(workdir)
    if asked is None:
        return []
    return [_progress(workdir, seed, asked, recorded) for seed in reading.json_or_empty(paths.config(workdir))["seeds"]]


def _progress(workdir: Path, seed: int, plan: Plan, recorded: pd.DataFrame) -> dict[str, Any]:
    reached = recorded[recorded["seed"] == seed].groupby("arm")["epoch"].max()
    cycles = range(1, plan.cycles + 1)
    base = [paths.level(workdir, seed, 0)] if plan.base else []
    tickets = [paths.level(workdir, seed, level) for level in cycles]
    pools = [paths.pool(workdir, seed, name, level) for name in plan.averages for level in cycles]
    networks = [*base, *tickets, *pools]
    measured = _count(networks, paths.evaluation)
    parts = {
        "epochs of the base network": (reached.get(BASE, 0), plan.epochs if plan.base else 0),
        "epochs of Sup-tickets": (reached.get(CHEAP, 0), plan.epochs if tickets else 0),
        "cheap tickets": (_count(tickets, paths.summary), len(tickets)),
        "networks made of them": (_count(pools, paths.summary), len(pools)),
        "networks measured": (measured, len(networks)),
    }
    asked = [(name, done, every) for name, (done, every) in parts.items() if every]
    return {"seed": seed, "parts": asked, "unfinished": measured < len(networks)}


def _count(directories: list[Path], record: Any) -> int:
    return sum(record(directory).exists() for directory in directories)
