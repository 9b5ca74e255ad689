"""The plan of a run: the protocols of the papers, written as lists of stages.

Lottery Pools (AAAI 2023), per seed: find tickets by iterative pruning, build a pool around every one, evaluate all.
Sup-tickets (UAI 2022), per seed: train the base network and the cheap tickets, average these, evaluate all.
"""

from collections.abc import Callable
from pathlib import Path

from ml_collections import ConfigDict

from lpjax.run.connectivity import ensembles_stage
from lpjax.run.corruptions import corruptions_stage
from lpjax.run.evaluate import evaluation_stage
from lpjax.run.imp import imp_stage
from lpjax.run.imported import imported_stage
from lpjax.run.pools import config_searches, pools_stage
from lpjax.run.schedule import schedules, sup_ticket_phases
from lpjax.run.sparse import sparse_stage
from lpjax.run.stage import Stage
from lpjax.run.superpose import ENSEMBLE, superpose_stage


def plan(config: ConfigDict, workdir: Path, steps: Callable[[str], int]) -> list[Stage]:
    """List the stages of a config; nothing is loaded, computed or written.

    Args:
      config: The resolved config.
      workdir: Where outputs go.
      steps: Converts durations, as `Setup.steps` does.

    Raises:
      UserError: If mask updates or cycles do not fit into training.
    """
    stages = []
    for seed in config.seeds:
        if config.sparse.method == "none":
            stages += _lottery_pools(config, workdir, seed)
        else:
            stages += _sup_tickets(config, workdir, seed, steps)
    if config.corruptions.measure != "none":
        levels = levels_of(config, steps)
        stages.append(corruptions_stage(config, workdir, config.seeds, levels, methods_of(config)))
    return stages


def levels_of(config: ConfigDict, steps: Callable[[str], int]) -> range:
    """List the levels of a seed: those of iterative pruning, or the base network and the cheap tickets."""
    if config.sparse.method == "none":
        return range(config.imp.levels)
    return range(1 + sup_ticket_phases(config, steps).cycles)


def methods_of(config: ConfigDict) -> tuple[str, ...]:
    """List the pools or averages that a config asks for."""
    return tuple(config.pool.methods if config.sparse.method == "none" else config.superpose.averages)


def _lottery_pools(config: ConfigDict, workdir: Path, seed: int) -> list[Stage]:
    find_tickets = imported_stage if config.imp.tickets_from else imp_stage
    return [
        find_tickets(config, workdir, seed),
        pools_stage(config, workdir, seed, config_searches(config)),
        evaluation_stage(workdir, seed, range(config.imp.levels), methods_of(config)),
    ]


def _sup_tickets(config: ConfigDict, workdir: Path, seed: int, steps: Callable[[str], int]) -> list[Stage]:
    trainings = schedules(config, steps)
    levels = levels_of(config, steps)
    stages = [sparse_stage(config, workdir, seed, schedule) for schedule in trainings]
    for average in methods_of(config):
        stages.append(superpose_stage(config, workdir, seed, levels[-1], average))
    stages.append(evaluation_stage(workdir, seed, levels, methods_of(config)))
    if config.superpose.ensemble:
        members = {level: range(1, level + 1) for level in levels[1:]}
        stages.append(ensembles_stage(workdir, seed, {ENSEMBLE: "probabilities"}, members))
    return stages


def describe(stages: list[Stage]) -> str:
    """List stages with what is done and what is missing, one line each."""
    lines = []
    for stage in stages:
        missing = stage.missing()
        done = len(stage.outputs) - len(missing)
        line = f"{stage.name}: {done} of {len(stage.outputs)} done"
        if missing and done:
            line += f", next {stage.outputs[missing[0]]}"
        lines.append(line)
    return "\n".join(lines)
