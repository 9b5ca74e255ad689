"""The arms of a sparse run: what each trains, how its masks change, and when its tickets are collected."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import optax

from lpjax import sparsity, train, transforms
from lpjax.run.check_sparse import ALLOCATE, DENSE, STAYING
from lpjax.run.job import Job
from lpjax.types import Variables


class Arm(NamedTuple):
    """One training from initial weights to its last ticket.

    Attributes:
      name: For people.
      phases: In steps.
      ends: When tickets are collected: steps by level. The base network is level 0.
      until: The last step after which masks may change periodically.
      changes: Steps after which masks change, periodically or to explore.
      learning_rate: By step.
      start: `(variables, key) -> state` at step 0; the key draws the mask.
      step: The compiled training step.
    """

    name: str
    phases: train.Phases
    ends: Mapping[int, int]
    until: int
    changes: Sequence[int]
    learning_rate: optax.Schedule
    start: Callable[[Variables, jax.Array], train.TrainState]
    step: train.Step


def arms(job: Job) -> list[Arm]:
    """Lists what the config asks for: the base network, and Sup-tickets if there are cycles.

    Args:
      job: Network, data and config.

    Returns:
      One or two arms; nothing is compiled yet.

    Raises:
      ValueError: If no cycle fits, or masks would never change or not reach their density in time.

    Departs from the authors' code:
      The base network's mask changes for the last time so early that as many steps follow as between changes; theirs
      may drop half of the weights after the very last step. A cycle explores after its first step, with the gradient of
      its first batch; theirs before that step, with the last batch's: here a ticket is saved with the mask it has.
    """
    total, phases, settings = job.steps(job.config.train.duration), job.phases, job.config.superpose
    if settings.share and not phases.cycles:
        raise ValueError(
            f"superpose.share {settings.share} of train.duration {job.config.train.duration!r} holds no cycle of "
            f"{settings.cycle!r}; give a larger share, a shorter cycle, or 0 for no cycle, or start from a config of "
            "configs/suptickets_*.py"
        )
    found = [_arm(job, "base network", train.Phases(total, phases.cycle, 0), {0: total})] if settings.base else []
    if phases.cycles:
        first = phases.before + train.collection_step(settings.shape, phases.cycle)
        ends = {level: first + (level - 1) * phases.cycle for level in range(1, phases.cycles + 1)}
        found.append(_arm(job, "Sup-tickets", phases, ends))
    return found


def _arm(job: Job, name: str, phases: train.Phases, ends: Mapping[int, int]) -> Arm:
    rate, until = _learning_rate(job, phases), _until(job, phases)
    explored = [phases.before + cycle * phases.cycle + 1 for cycle in range(phases.cycles)]
    optimizer = _optimizer(job, phases, rate, until, explored)

    def start(variables: Variables, key: jax.Array) -> train.TrainState:
        state = train.initial_state(variables, optimizer(key))
        params = sparsity.apply_mask(variables.params, transforms.get_mask(state.opt_state))
        return state._replace(variables=Variables(params, variables.stats))

    # The key is in the state alone, so that one compiled step serves all seeds.
    step = job.compiled(optimizer(jax.random.key(0)))
    return Arm(name, phases, ends, until, [*_periodic(job, until), *explored], rate, start, step)


def _periodic(job: Job, until: int) -> Sequence[int]:
    sparse = job.config.sparse
    if sparse.method in (DENSE, *STAYING):
        return ()
    if "every" not in transforms.METHODS[sparse.method].choices:
        return (job.steps(sparse.prune_until),)
    return range(job.steps(sparse.every), until + 1, job.steps(sparse.every))


def _until(job: Job, phases: train.Phases) -> int:
    until = round(job.config.sparse.until * phases.before)
    return until if phases.cycles else max(0, min(until, phases.before - job.steps(job.config.sparse.every)))


def _learning_rate(job: Job, phases: train.Phases) -> optax.Schedule:
    settings, cycles, total = job.config.train, job.config.superpose, job.steps(job.config.train.duration)

    def moved(milestone: str) -> int:
        """Keeps a milestone's share of ordinary training, in whole epochs if it is given in epochs."""
        unit = job.steps_per_epoch if milestone.endswith("ep") else 1
        return job.steps(milestone) * phases.before // (total * unit) * unit

    ordinary = train.learning_rate(
        settings.schedule,
        settings.learning_rate,
        phases.before,
        milestones=[moved(milestone) for milestone in settings.milestones],
        decay=settings.decay,
        warmup=job.steps(settings.warmup),
    )
    if not phases.cycles:
        return ordinary
    return optax.join_schedules(
        [ordinary, train.cyclical(cycles.low, cycles.high, phases.cycle, cycles.shape)], [phases.before]
    )


def _optimizer(
    job: Job, phases: train.Phases, rate: optax.Schedule, until: int, explored: Sequence[int]
) -> Callable[[jax.Array], optax.GradientTransformation]:
    """Binds the method: periodic changes in ordinary training, then one at the start of every cycle."""
    sparse, settings = job.config.sparse, job.config.train
    lag = int(sparse.method == "snip")  # its first step chooses the mask, and its clocks wait
    inner = train.sgd(lambda step: rate(step + lag), settings.momentum, settings.weight_decay)
    if sparse.method == DENSE:
        return lambda key: transforms.fixed_mask(inner, job.mask)
    method, explored = transforms.METHODS[sparse.method], [step - lag for step in explored]
    known = {
        "every": job.steps(sparse.every),
        "until": until,
        "end": job.steps(sparse.prune_until),
        "initial_density": sparse.initial_density,
        "drop_fraction": _drop_fraction(job, until, explored),
    }
    _check_times(job, method, known, phases)
    choices: dict[str, Any] = {name: known[name] for name in method.choices}
    if "drop_fraction" in choices:
        choices["allocate"] = ALLOCATE[sparse.allocate]
        choices["extra_updates"] = explored if job.config.superpose.explore == "method" else ()
    if job.config.superpose.explore == "gradient":
        grow = {"grow": transforms.by_gradient, "drop_fraction": job.config.superpose.drop_fraction}
        choices |= {"extra_updates": explored, **grow}
    return partial(_built, method, inner, sparse.density, choices | {"prunable": job.prunable})


def _built(
    method: transforms.Method, inner: optax.GradientTransformation, density: float, choices: Any, key: jax.Array
) -> optax.GradientTransformation:
    return method.build(inner, density, key=key, **choices)


def _drop_fraction(job: Job, until: int, explored: list[int]) -> optax.Schedule:
    sparse = job.config.sparse
    falling = optax.cosine_decay_schedule(sparse.drop_fraction, max(until, 1))
    periodic = optax.constant_schedule(sparse.drop_fraction) if sparse.drop_schedule == "constant" else falling
    if not explored:
        return periodic
    return optax.join_schedules([periodic, optax.constant_schedule(job.config.superpose.drop_fraction)], explored[:1])


def _check_times(job: Job, method: transforms.Method, known: Mapping[str, Any], phases: train.Phases) -> None:
    sparse, until, end = job.config.sparse, known["until"], known["end"]
    every = known["every"] if "every" in method.choices else 1
    if "until" in method.choices and until < every:
        raise ValueError(
            f"sparse.every is {sparse.every!r}, {every} steps, but the last change may be at step {until}; "
            "change them more often, or train longer"
        )
    if "end" in method.choices and not every <= end <= (until if "until" in method.choices else phases.before):
        raise ValueError(
            f"sparse.prune_until is {sparse.prune_until!r}, step {end}; give one from step {every}, the first change "
            f"of a mask, to step {until}, the last"
        )
