"""When things happen in sparse training: the trainings of a seed, their phases, mask updates and learning rates."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import optax
from ml_collections import ConfigDict

from lpjax import train, transforms
from lpjax.errors import UserError
from lpjax.run.config import keeps_its_mask
from lpjax.run.settings import DENSE
from lpjax.run.setup import learning_rate


class Schedule(NamedTuple):
    """One training from initial weights to its last ticket, in steps.

    Attributes:
      name: For people.
      phases: Ordinary training, then cycles.
      collect: When tickets are collected, by level. The base network is level 0, the k-th cheap ticket level k.
      until: The last step after which masks may be updated periodically.
      updates: Steps after which masks are updated, periodically or to explore.
      explore: Those that explore: the first of every cycle.
    """

    name: str
    phases: train.Phases
    collect: Mapping[int, int]
    until: int
    updates: Sequence[int]
    explore: Sequence[int]


def schedules(config: ConfigDict, steps: Callable[[str], int]) -> list[Schedule]:
    """List the trainings of a seed: the base network, and Sup-tickets if there are cycles.

    Args:
      config: The resolved config.
      steps: Converts durations.

    Raises:
      UserError: If no cycle fits, or masks would never change or not reach their density in time.

    Departs from the authors' code:
      The base network's mask is updated for the last time so early that as many steps follow as between updates; theirs
      may drop half of the weights after the very last step. A cycle explores after its first step, with the gradient of
      its first batch; theirs before that step, with the last batch's: here a ticket is saved with the mask it has.
    """
    total = steps(config.train.duration)
    settings = config.superpose
    phases = sup_ticket_phases(config, steps)
    if settings.share and not phases.cycles:
        raise UserError(
            f"superpose.share {settings.share} of train.duration {config.train.duration!r} holds no cycle of "
            f"{settings.cycle!r}; give a larger share, a shorter cycle, or 0 for no cycle, or start from a config of "
            "configs/suptickets_*.py"
        )
    found = []
    if settings.base:
        found.append(_schedule(config, steps, "base network", train.Phases(total, phases.cycle, 0), {0: total}))
    if phases.cycles:
        first = phases.before + train.collection_step(settings.shape, phases.cycle)
        collect = {level: first + (level - 1) * phases.cycle for level in range(1, phases.cycles + 1)}
        found.append(_schedule(config, steps, "Sup-tickets", phases, collect))
    return found


def sup_ticket_phases(config: ConfigDict, steps: Callable[[str], int]) -> train.Phases:
    """Divide a training into ordinary training and cycles."""
    settings = config.superpose
    return train.phases(steps(config.train.duration), settings.share, steps(settings.cycle))


def cyclical_learning_rate(config: ConfigDict, steps: Callable[[str], int], phases: train.Phases) -> optax.Schedule:
    """Build the learning rate: that of ordinary training with its milestones moved accordingly, then the cycles."""
    ordinary = learning_rate(config, steps, phases.before)
    if not phases.cycles:
        return ordinary
    cycles = config.superpose
    cyclical = train.cyclical(cycles.low, cycles.high, phases.cycle, cycles.shape)
    return optax.join_schedules([ordinary, cyclical], [phases.before])


def _schedule(
    config: ConfigDict, steps: Callable[[str], int], name: str, phases: train.Phases, collect: Mapping[int, int]
) -> Schedule:
    every = steps(config.sparse.every)
    until = round(config.sparse.until * phases.before)
    if not phases.cycles:
        until = max(0, min(until, phases.before - every))
    explore = [phases.before + cycle * phases.cycle + 1 for cycle in range(phases.cycles)]
    periodic: Sequence[int] = ()
    if config.sparse.method != DENSE:
        method = transforms.METHODS[config.sparse.method]
        _check_times(config, steps, method, until, phases)
        if method.changes == "periodically":
            periodic = range(every, until + 1, every)
        elif not keeps_its_mask(method):
            periodic = (steps(config.sparse.prune_until),)
    return Schedule(name, phases, collect, until, [*periodic, *explore], explore)


def _check_times(
    config: ConfigDict, steps: Callable[[str], int], method: Any, until: int, phases: train.Phases
) -> None:
    sparse = config.sparse
    end = steps(sparse.prune_until)
    every = steps(sparse.every) if "every" in method.choices else 1
    last = until if "until" in method.choices else phases.before
    if "until" in method.choices and until < every:
        raise UserError(
            f"sparse.every: got {sparse.every!r}, {every} steps, expected at most {until} steps, where the last mask "
            "update may be; or train longer"
        )
    if "end" in method.choices and not every <= end <= last:
        raise UserError(
            f"sparse.prune_until: got {sparse.prune_until!r}, step {end}, expected one from step {every}, the first "
            f"mask update, to step {last}, the last"
        )
