"""Tickets by iterative magnitude pruning: every level is trained, pruned and rewound."""

import math
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from lpjax import sparsity, store, tickets, train
from lpjax.run.hosts import broadcast_from_process0
from lpjax.run.settings import SCORES
from lpjax.run.setup import SeedKeys, Setup, learning_rate, masked_sgd
from lpjax.run.stage import Output, Outputs, Progress, Stage
from lpjax.run.training import NO_METRICS, Loop, training_loop
from lpjax.store import paths
from lpjax.types import PyTree, Ticket, Variables

_PRETRAINING = 2**32 - 1  # instead of a level: its key draws the batches before the rewind point


class LevelTraining(NamedTuple):
    """All that the training of a level carries.

    Attributes:
      state: Of the optimizer's last step.
      seen: The metrics since the last line.
      lines: Written to metrics so far.
      best: The weights that were best on validation; None where the last are kept.
      value: Their accuracy.
      rewind_point: Of level 0; the initial weights until the rewind step is reached.
    """

    state: train.TrainState
    seen: np.ndarray
    lines: int
    best: Variables | None
    value: float
    rewind_point: Variables | None


def imp_stage(config: ConfigDict, workdir: Path, seed: int) -> Stage:
    """Plan the tickets of one seed by iterative pruning."""
    levels = range(config.imp.levels)
    rewinds = tickets.rewinds_weights(config.imp.rewind)

    def is_complete(level: int, directory: Path) -> bool:
        parts = [paths.ticket(directory), paths.successor(directory)]
        if level == 0 or not rewinds:
            parts.append(_start(workdir, seed, level + 1, rewinds))
        return paths.summary(directory).exists() and all(store.exists(part) for part in parts)

    return Stage(
        name=f"seed {seed} tickets",
        unit="epoch",
        outputs={level: paths.level(workdir, seed, level) for level in levels},
        is_complete=is_complete,
        build=partial(find_tickets, workdir=workdir, seed=seed),
        units=_epochs,
        trains=True,
    )


def find_tickets(setup: Setup, missing: Sequence[int], progress: Progress, *, workdir: Path, seed: int) -> Outputs:
    """Train, prune and rewind, level after level."""
    settings = setup.config.imp
    keys = SeedKeys.of(seed)
    imp = _imp(setup, keys)
    rewinds = tickets.rewinds_weights(settings.rewind)
    state = imp.init(setup.network.initialize(keys.initial))
    for level in missing:
        start = time.monotonic()
        if state.level != level:
            state = _restore_state(setup, workdir, seed, level)
        directory = paths.level(workdir, seed, level)
        trained = _train_level(setup, directory, level, state, keys.train, progress)
        last = trained.state.variables
        kept = last if trained.best is None else trained.best
        ticket = Ticket(sparsity.apply_mask(kept, state.mask), state.mask)
        pruned_by = last if settings.mask_from == "last" else kept
        state = imp.step(state, pruned_by, trained.rewind_point if rewinds and level == 0 else None)
        epoch = chosen_epoch(setup, directory)
        summary = {
            "level": level,
            **setup.counts(ticket.mask),
            "epoch": epoch["epoch"],
            "validation_accuracy": epoch["validation_accuracy"],
            "seconds": round(time.monotonic() - start, 3),
        }
        yield Output(
            directory,
            checkpoints=_for_next_level(setup, workdir, seed, state),
            ticket=ticket,
            summary=summary,
            message=(
                f"level {level:2d}: kept {summary['kept']:,} ({summary['density']:.4f}), "
                f"validation accuracy {summary['validation_accuracy']:.4f} after epoch {summary['epoch']}"
            ),
        )


def _imp(setup: Setup, keys: SeedKeys) -> tickets.IMP:
    settings = setup.config.imp
    return tickets.imp(
        prune_fraction=settings.prune_fraction,
        score=SCORES[settings.score](keys.prune),
        scope=settings.scope,
        count_rule=tickets.RULES[settings.count_rule],
        rewind=tickets.rewinds_weights(settings.rewind),
        prunable=setup.network.prunable,
    )


def _train_level(
    setup: Setup, directory: Path, level: int, state: tickets.IMPState, key: jax.Array, progress: Progress
) -> LevelTraining:
    """Train a level, validate after every epoch, and keep the best weights and the rewind point."""
    rate = learning_rate(setup.config, setup.steps)
    with training_loop(setup, directory, f"level {level}", progress) as loop:
        loop.resume(_begin(setup, level, state))
        progress.skip(loop.training.lines)
        for event in _events(setup, level, loop, state.mask.params, key):
            if level == 0 and event.step == _rewind_step(setup):
                loop.training = loop.training._replace(rewind_point=_copy(event.state.variables))
            if _ends_epoch(setup, event.step):
                line = loop.measure(rate)
                loop.record(line)
                value = line["validation_accuracy"]
                training = loop.training
                if training.best is not None and value > training.value and event.step > _pretraining(setup):
                    loop.training = training._replace(best=_copy(event.state.variables), value=value)
                progress.advance(note=f"level {level}, validation {value:.4f}")
    return loop.training


def _begin(setup: Setup, level: int, state: tickets.IMPState) -> LevelTraining:
    optimizer = masked_sgd(setup, state.mask.params)
    train_state = train.initial_state(state.params, optimizer, _rewind_step(setup) if level else 0)
    best = state.params if setup.config.imp.ticket == "best" else None
    rewind_point = None if level else _copy(state.params)
    return LevelTraining(train_state, NO_METRICS, 0, best, -math.inf, rewind_point)


def _events(setup: Setup, level: int, loop: Loop, mask: PyTree, key: jax.Array) -> Iterator[train.TrainEvent]:
    """Train to the end; level 0 also what comes before the rewind point, in the same training or in one of its own."""
    rewind_step = _rewind_step(setup)
    step = setup.training_step("imp", masked_sgd(setup, setup.network.mask))
    if level == 0 and 0 < _pretraining(setup) >= int(loop.training.state.step):
        yield from loop.events(step, jax.random.fold_in(key, _PRETRAINING), stop=rewind_step, yield_at=(rewind_step,))
        variables = loop.training.state.variables
        restarted = train.initial_state(variables, masked_sgd(setup, mask), rewind_step)
        loop.training = loop.training._replace(state=restarted)
    stop = setup.steps(setup.config.train.duration)
    yield from loop.events(step, jax.random.fold_in(key, level), stop=stop, yield_at=(rewind_step,))


def _for_next_level(setup: Setup, workdir: Path, seed: int, state: tickets.IMPState) -> dict[Path, dict[str, PyTree]]:
    """Return what the next level needs: its mask, and its start where there is none yet.

    Levels that are there were trained from the start that is there; on other hardware a new one has other bits.
    """
    rewinds = tickets.rewinds_weights(setup.config.imp.rewind)
    mask = store.compact_mask(jax.device_get(state.mask.params), setup.network.like.params, setup.network.prunable)
    checkpoints: dict[Path, dict[str, PyTree]] = {
        paths.successor(paths.level(workdir, seed, state.level - 1)): {"mask": mask}
    }
    start = _start(workdir, seed, state.level, rewinds)
    if not broadcast_from_process0(lambda: store.exists(start)):
        weights = state.rewind_point if rewinds else state.params
        checkpoints[start] = {"start": weights._asdict()}
    return checkpoints


def _restore_state(setup: Setup, workdir: Path, seed: int, level: int) -> tickets.IMPState:
    """Restore what `_for_next_level` of the level before wrote."""
    like = setup.network.like
    rewinds = tickets.rewinds_weights(setup.config.imp.rewind)
    start = store.restore(_start(workdir, seed, level, rewinds), "start", like={"start": like._asdict()})["start"]
    stored = store.restore(paths.successor(paths.level(workdir, seed, level - 1)), "mask")["mask"]
    params_mask = sparsity.expand_mask(sparsity.rebuild(stored, like.params), like.params)
    mask = Variables(params_mask, sparsity.full_mask(like.stats))
    weights = jax.tree.map(jnp.asarray, Variables(**start))
    return tickets.IMPState(level, sparsity.apply_mask(weights, mask), mask, weights if rewinds else ())


def _start(workdir: Path, seed: int, level: int, rewinds: bool) -> Path:
    """Return where the weights lie that a level starts from: one rewind point for all, or one start per level."""
    return paths.rewind(workdir, seed) if rewinds else paths.start(paths.level(workdir, seed, level))


def chosen_epoch(setup: Setup, directory: Path) -> dict[str, Any]:
    """Return the line of `metrics.jsonl` for the epoch whose weights became the ticket of a level."""
    lines = broadcast_from_process0(lambda: store.read_jsonl(paths.metrics(directory)))
    if setup.config.imp.ticket == "last":
        return lines[-1]
    candidates = [line for line in lines if line["step"] > _pretraining(setup)]
    return max(candidates, key=lambda line: line["validation_accuracy"])


def _epochs(setup: Setup, missing: Sequence[int]) -> int:
    """Count the lines of metrics that levels will have, one per epoch, begun ones included."""
    before = _rewind_step(setup) / setup.steps_per_epoch
    after = math.ceil(setup.steps(setup.config.train.duration) / setup.steps_per_epoch) - math.floor(before)
    count = after * len(missing)
    if 0 in missing:
        count += math.ceil(before) if _pretraining(setup) else math.floor(before)
    return count


def _ends_epoch(setup: Setup, step: int) -> bool:
    """Tell whether a line of metrics follows; the last epoch, and the pretraining's, may be a partial one."""
    ends = (_pretraining(setup), setup.steps(setup.config.train.duration))
    return step % setup.steps_per_epoch == 0 or step in ends


def _rewind_step(setup: Setup) -> int:
    return setup.steps(tickets.rewind_duration(setup.config.imp.rewind))


def _pretraining(setup: Setup) -> int:
    """Count the steps before the dense level begins, whose weights are no tickets."""
    return _rewind_step(setup) if setup.config.imp.dense == "rewound" else 0


def _copy(variables: Variables) -> Variables:
    """Copy weights, since the next step donates their buffers."""
    return jax.tree.map(jnp.copy, variables)
