"""Sparse training: the base network and the cheap tickets of a seed."""

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from ml_collections import ConfigDict

from lpjax import metrics, sparsity, store, train, transforms
from lpjax.run.hosts import broadcast_from_process0
from lpjax.run.schedule import Schedule, cyclical_learning_rate
from lpjax.run.settings import ALLOCATE, DENSE
from lpjax.run.setup import SeedKeys, Setup
from lpjax.run.stage import Output, Outputs, Progress, Stage, is_done
from lpjax.run.training import NO_METRICS, Loop, training_loop
from lpjax.store import paths
from lpjax.types import PyTree, Ticket, Variables


class SparseTraining(NamedTuple):
    """All that a sparse training carries.

    Attributes:
      state: Of the optimizer's last step.
      seen: The metrics since the last line.
      lines: Written so far to the metrics of the first missing level.
      measured: Steps done when the cost was last counted.
      share: FLOPs of the mask then, as a share of the dense network's.
      spent: What the steps until then cost, in steps of the dense network.
    """

    state: train.TrainState
    seen: np.ndarray
    lines: int
    measured: int
    share: float
    spent: float


def sparse_stage(config: ConfigDict, workdir: Path, seed: int, schedule: Schedule) -> Stage:
    """Plan the tickets of one training of a seed.

    The checkpoint of an unfinished training lies with the first of its levels that is missing.
    """

    def is_complete(level: int, directory: Path) -> bool:
        has_start = not _averages_start(config, level) or store.exists(paths.start(directory))
        return is_done(directory) and has_start

    return Stage(
        name=f"seed {seed} {schedule.name}",
        unit="epoch",
        outputs={level: paths.level(workdir, seed, level) for level in schedule.collect},
        is_complete=is_complete,
        build=partial(train_sparse, workdir=workdir, seed=seed, schedule=schedule),
        units=lambda setup, missing: -(-schedule.collect[max(missing)] // setup.steps_per_epoch),
        trains=True,
    )


def train_sparse(
    setup: Setup, missing: Sequence[int], progress: Progress, *, workdir: Path, seed: int, schedule: Schedule
) -> Outputs:
    """Train from the first weights, or from a checkpoint, and collect the missing tickets."""
    keys = SeedKeys.of(seed)
    layers = setup.layer_flops()
    rate = cyclical_learning_rate(setup.config, setup.steps, schedule.phases)
    optimizer = optimizer_of(setup, schedule)
    # The key is in the state alone, so that one compiled step serves all seeds.
    step = setup.training_step(schedule.name, optimizer(jax.random.key(0)))
    directories = {level: paths.level(workdir, seed, level) for level in missing}
    for level in missing[1:]:
        store.remove(paths.progress(directories[level]))
        broadcast_from_process0(partial(store.truncate_metrics, paths.metrics(directories[level]), 0))
    stop = schedule.collect[max(missing)]
    ends = [schedule.phases.before, *schedule.collect.values()]
    start = time.monotonic()
    with training_loop(setup, directories[missing[0]], f"the {schedule.name}", progress) as loop:
        loop.resume(_begin(setup, keys, layers, optimizer(keys.prune)))
        progress.skip(loop.training.measured // setup.steps_per_epoch)
        for event in loop.events(step, jax.random.fold_in(keys.train, 0), stop=stop, yield_at=ends, save_last=False):
            if event.step % setup.steps_per_epoch and event.step not in ends:
                continue
            loop.training = _add_cost(setup, schedule, layers, loop.training)
            level = next(level for level, end in schedule.collect.items() if event.step <= end)
            if level not in missing:
                loop.training = loop.training._replace(seen=NO_METRICS)
                progress.advance()
                continue
            line = loop.measure(rate) | _mask_metrics(setup, loop.training)
            loop.record(line)
            progress.advance(note=f"validation {line['validation_accuracy']:.4f}")
            if event.step == schedule.phases.before and _averages_start(setup.config, level):
                loop.wait()
                start_of_cycles = paths.start(directories[level])
                store.save_ticket(start_of_cycles, _ticket(setup, loop.training), setup.network.prunable)
            if event.step == schedule.collect[level]:
                later = [directories[other] for other in missing if other > level]
                yield _collect(setup, schedule, loop, level, later, line, time.monotonic() - start)
                start = time.monotonic()


def _averages_start(config: ConfigDict, level: int) -> bool:
    """Tell whether the network that the first cycle starts from is averaged too."""
    return level == 1 and config.superpose.first == "phase"


def _collect(
    setup: Setup,
    schedule: Schedule,
    loop: Loop,
    level: int,
    later: Sequence[Path],
    line: dict[str, Any],
    seconds: float,
) -> Output:
    """Return the ticket of a level; the training continues in the directory of the next that is missing."""
    directory = loop.directory
    ticket = _ticket(setup, loop.training)
    summary = _summary(setup, level, loop.training, line, seconds)
    loop.training = loop.training._replace(lines=0)
    loop.wait()
    if later:  # before the summary, so that a killed run finds the old checkpoint or the new
        loop.move_to(later[0])
    name = f"cheap ticket {level}" if level else schedule.name
    message = (
        f"{name}: kept {summary['kept']:,} ({summary['density']:.4f}), "
        f"validation accuracy {summary['validation_accuracy']:.4f} after epoch {summary['epoch']:g}"
    )
    return Output(directory, ticket=ticket, summary=summary, message=message)


def optimizer_of(setup: Setup, schedule: Schedule) -> Callable[[jax.Array], optax.GradientTransformation]:
    """Bind the method: periodic mask updates in ordinary training, then one at the start of every cycle.

    Returns:
      Key to optimizer; the key draws the mask.
    """
    sparse = setup.config.sparse
    settings = setup.config.train
    superpose = setup.config.superpose
    rate = cyclical_learning_rate(setup.config, setup.steps, schedule.phases)
    if sparse.method == DENSE:
        inner = train.sgd(rate, settings.momentum, settings.weight_decay)
        return lambda key: transforms.fixed_mask(inner, setup.network.mask)
    method = transforms.METHODS[sparse.method]
    lag = int(method.first_step_selects)  # its first step chooses the mask; its step count begins one step later
    inner = train.sgd(lambda step: rate(step + lag), settings.momentum, settings.weight_decay)
    explore = [step - lag for step in schedule.explore]
    given = {
        "every": setup.steps(sparse.every),
        "until": schedule.until,
        "end": setup.steps(sparse.prune_until),
        "initial_density": sparse.initial_density,
        "drop_fraction": _drop_fraction(setup, schedule.until, explore),
    }
    choices: dict[str, Any] = {name: given[name] for name in method.choices}
    if "drop_fraction" in choices:
        choices["allocate"] = ALLOCATE[sparse.allocate]
        choices["extra_updates"] = explore if superpose.explore == "method" else ()
    if superpose.explore == "gradient":
        choices["extra_updates"] = explore
        choices["grow"] = transforms.by_gradient
        choices["drop_fraction"] = superpose.drop_fraction
    return lambda key: method.build(inner, sparse.density, key=key, prunable=setup.network.prunable, **choices)


def _drop_fraction(setup: Setup, until: int, explore: list[int]) -> optax.Schedule:
    sparse = setup.config.sparse
    periodic = optax.constant_schedule(sparse.drop_fraction)
    if sparse.drop_schedule == "cosine":
        periodic = optax.cosine_decay_schedule(sparse.drop_fraction, max(until, 1))
    if not explore:
        return periodic
    exploring = optax.constant_schedule(setup.config.superpose.drop_fraction)
    return optax.join_schedules([periodic, exploring], explore[:1])


def _begin(setup: Setup, keys: SeedKeys, layers: PyTree, optimizer: optax.GradientTransformation) -> SparseTraining:
    variables = setup.network.initialize(keys.initial)
    state = train.initial_state(variables, optimizer)
    mask, _ = _masks(setup, state)
    if setup.config.sparse.method != DENSE:
        state = state._replace(variables=Variables(sparsity.apply_mask(variables.params, mask), variables.stats))
    return SparseTraining(state, NO_METRICS, 0, 0, metrics.inference_flops(layers, mask), 0.0)


def _masks(setup: Setup, state: train.TrainState) -> tuple[PyTree, PyTree]:
    """Return the mask, and all that was ever kept."""
    if setup.config.sparse.method == DENSE:
        return setup.network.mask, setup.network.mask
    return transforms.get_mask(state.opt_state), transforms.get_explored(state.opt_state)


def _ticket(setup: Setup, training: SparseTraining) -> Ticket:
    variables = training.state.variables
    mask, _ = _masks(setup, training.state)
    return Ticket(variables, Variables(mask, sparsity.full_mask(variables.stats)))


def _mask_metrics(setup: Setup, training: SparseTraining) -> dict[str, Any]:
    mask, explored = _masks(setup, training.state)
    counts = setup.counts(mask)
    return {
        "kept": counts["kept"],
        "density": counts["density"],
        "explored": metrics.exploration_rate(explored, setup.network.prunable),
        "flops": training.share,
    }


def _summary(
    setup: Setup, level: int, training: SparseTraining, line: dict[str, Any], seconds: float
) -> dict[str, Any]:
    mask, _ = _masks(setup, training.state)
    return {
        "level": level,
        "total": sparsity.total(mask, setup.network.prunable),
        **{name: line[name] for name in ("kept", "density", "explored", "epoch", "validation_accuracy")},
        "layers": sparsity.density_per_leaf(mask, setup.network.prunable),
        "inference_flops": training.share,
        "training_flops": training.spent / setup.steps(setup.config.train.duration),
        "seconds": round(seconds, 3),
    }


def _add_cost(setup: Setup, schedule: Schedule, layers: PyTree, training: SparseTraining) -> SparseTraining:
    """Add the cost of the steps since the mask was last looked at."""
    step = int(training.state.step)
    mask, _ = _masks(setup, training.state)
    share = metrics.inference_flops(layers, mask)
    cost = training_cost(setup, schedule, range(training.measured, step), training.share, share)
    return training._replace(measured=step, share=share, spent=training.spent + cost)


def training_cost(setup: Setup, schedule: Schedule, steps: range, old: float, new: float) -> float:
    """Sum what steps cost, each with the mask it was taken with, in steps of the dense network.

    Between several mask updates, whose masks were not seen, the mean of both ends counts.

    Args:
      setup: The method.
      schedule: When masks are updated.
      steps: Those done, counted from 0.
      old: FLOPs of the mask before them, as a share of the dense network's.
      new: FLOPs of the mask after them.
    """
    method = setup.config.sparse.method
    if method != DENSE and transforms.METHODS[method].first_step_selects:
        old = new  # by convention the batch that chooses the mask is free
    updates = [step for step in schedule.updates if step - 1 in steps] or [steps.stop]
    first = min(updates)
    last = max(updates)
    spans = ((first - steps.start, old), (last - first, (old + new) / 2), (steps.stop - last, new))
    return sum(span * _step_cost(setup, schedule, share, steps.stop) for span, share in spans)


def _step_cost(setup: Setup, schedule: Schedule, share: float, step: int) -> float:
    """Return the cost of a step in steps of the dense network; growth needs a dense gradient now and then."""
    sparse = setup.config.sparse
    explore = setup.config.superpose.explore
    every: float = setup.steps(sparse.every)
    if sparse.method == DENSE:
        return 1.0
    dense_gradient = transforms.METHODS[sparse.method].dense_gradient
    if step > schedule.phases.before:
        every = math.inf if explore == "none" else schedule.phases.cycle
        dense_gradient = "at updates" if explore == "gradient" else dense_gradient
    elif step > schedule.until:
        every = math.inf
    return metrics.training_flops(dense_gradient, share, 1.0, every) / metrics.training_flops("never", 1.0, 1.0)
