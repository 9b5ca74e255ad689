"""Tickets: trains, keeps, prunes and rewinds, level after level, on disk."""

import math
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lpjax import sparsity, store, tickets, train
from lpjax.run.job import Job
from lpjax.run.progress import Progress
from lpjax.store import paths
from lpjax.types import Variables

PyTree = Any


def find_tickets(job: Job, workdir: Path, seed: int) -> None:
    """Runs iterative magnitude pruning for one seed, leaving alone the levels that are done.

    Args:
      job: What to train, and how.
      workdir: Where tickets go.
      seed: Decides initial weights, orders and augmentations.
    """
    settings = job.config.imp
    missing = [level for level in range(settings.levels) if not _done(job, workdir, seed, level)]
    if not missing:
        return
    keys = SeedKeys.of(seed)
    with Progress(f"seed {seed} tickets", _epochs(job, missing), "epoch") as progress:

        def train_level(level: int, variables: Variables, mask: PyTree) -> tickets.Trained:
            key = jax.random.fold_in(keys.train, level)
            return _train(job, paths.level(workdir, seed, level), level, variables, mask, key, progress)

        pruning = tickets.imp(
            train_level,
            prune_fraction=settings.prune_fraction,
            score=tickets.SCORES[settings.score],
            scope=settings.scope,
            rule=tickets.RULES[settings.rule],
            mask_from=settings.mask_from,
            rewind=tickets.rewinds_weights(settings.rewind),
        )
        state = pruning.init(job.initialise(keys.initial), job.mask, keys.prune)
        for level in missing:
            clock = time.monotonic()
            if state.level != level:
                state = _resume(job, workdir, seed, level)
            state, ticket = pruning.step(state)
            directory = paths.level(workdir, seed, level)
            _hand_on(job, workdir, seed, state)
            store.save_ticket(paths.ticket(directory), ticket)
            summary = _summary(job, level, ticket.mask, directory, time.monotonic() - clock)
            store.write_json(paths.summary(directory), summary)
            progress.line(
                f"level {level:2d}: kept {summary['kept']:,} ({summary['density']:.4f}), "
                f"validation accuracy {summary['validation_accuracy']:.4f} after epoch {summary['epoch']}"
            )


class SeedKeys(NamedTuple):
    """The keys of one seed, each for one purpose.

    Attributes:
      initial: Initial weights.
      train: Orders and augmentations; folded with the level.
      prune: Scores that draw.
      pool: Images for recalibration; folded with the anchor's level.
    """

    initial: jax.Array
    train: jax.Array
    prune: jax.Array
    pool: jax.Array

    @classmethod
    def of(cls, seed: int) -> "SeedKeys":
        """Splits a seed."""
        return cls(*jax.random.split(jax.random.key(seed), 4))


def _hand_on(job: Job, workdir: Path, seed: int, state: tickets.IMPState) -> None:
    """Saves what the next level needs: its mask, and its start where that is not there yet."""
    store.save(paths.successor(paths.level(workdir, seed, state.level - 1)), mask=state.mask)
    start = _start(job, workdir, seed, state.level)
    if not store.exists(start):
        store.save(start, start=state.start._asdict())


def _resume(job: Job, workdir: Path, seed: int, level: int) -> tickets.IMPState:
    """Restores what the level before handed on."""
    keys = SeedKeys.of(seed)
    like = jax.eval_shape(job.initialise, keys.initial)
    before = paths.successor(paths.level(workdir, seed, level - 1))
    start = store.restore(_start(job, workdir, seed, level), "start", like={"start": like._asdict()})["start"]
    mask = store.restore(before, "mask", like={"mask": job.mask})["mask"]
    return tickets.IMPState(level, jax.tree.map(jnp.asarray, mask), Variables(**start), keys.prune)


def _start(job: Job, workdir: Path, seed: int, level: int) -> Path:
    """Names where the weights lie that a level starts from: one rewind point for all, or one start a level."""
    if tickets.rewinds_weights(job.config.imp.rewind):
        return paths.rewind(workdir, seed)
    return paths.start(paths.level(workdir, seed, level))


def _train(
    job: Job, directory: Path, level: int, variables: Variables, mask: PyTree, key: jax.Array, progress: Progress
) -> tickets.Trained:
    """Trains one level, validates after every epoch, and keeps the best, the last and the rewind point."""
    rewind_step = job.steps(tickets.rewind_duration(job.config.imp.rewind))
    stop = job.steps(job.config.train.duration)
    log = paths.metrics(directory)
    log.unlink(missing_ok=True)
    optimizer = job.optimizer(mask)
    state = train.replicate(train.initial_state(variables, optimizer, rewind_step if level else 0), job.mesh)
    best, best_value = state.variables, -math.inf
    rewind_point = _copy(variables) if level == 0 and rewind_step == 0 else None
    moments = train.fit(
        job.step,
        state,
        job.train,
        key,
        batch_size=job.config.train.batch_size,
        stop=stop,
        marks=(rewind_step,) if level == 0 else (),
        steps_per_dispatch=job.config.train.steps_per_dispatch,
    )
    since: list[tuple[int, train.StepMetrics]] = []  # a mark may split an epoch
    done = int(state.step)
    for moment in moments:
        state = moment.state
        since.append((moment.step - done, moment.metrics))
        done = moment.step
        if level == 0 and moment.step == rewind_step:
            rewind_point = _copy(state.variables)
        if moment.step % job.steps_per_epoch and moment.step != stop:
            continue
        loss, accuracy = np.average([m for _, m in since], axis=0, weights=[steps for steps, _ in since])
        since.clear()
        if not np.isfinite(loss):
            raise ValueError(f"the loss is {loss} at step {done} of level {level}; lower train.learning_rate")
        value = float(evaluate(job.evaluate, state.variables))
        if value > best_value:
            best, best_value = _copy(state.variables), value
        store.append_jsonl(
            log,
            {
                "epoch": moment.step / job.steps_per_epoch,
                "step": moment.step,
                "learning_rate": float(job.learning_rate(moment.step - 1)),
                "loss": float(loss),
                "accuracy": float(accuracy),
                "validation_accuracy": value,
            },
        )
        progress.advance(note=f"level {level}, validation {value:.4f}")
    last = _copy(state.variables)
    return tickets.Trained(best if job.config.imp.ticket == "best" else last, last, rewind_point)


@jax.jit
def evaluate(of: train.Evaluate, variables: Variables) -> jax.Array:
    """Calls an evaluator, compiled once for all networks of a shape."""
    return of(variables)


def _copy(variables: Variables) -> Variables:
    """Saves weights from the next step, which donates their buffers."""
    return jax.tree.map(jnp.copy, variables)


def _summary(job: Job, level: int, mask: PyTree, directory: Path, seconds: float) -> dict[str, Any]:
    epochs = store.read_jsonl(paths.metrics(directory))
    chosen = max(epochs, key=lambda e: e["validation_accuracy"]) if job.config.imp.ticket == "best" else epochs[-1]
    return {
        "level": level,
        "kept": int(sparsity.kept(mask)),
        "total": sparsity.total(mask),
        "density": sparsity.density(mask),
        "epoch": chosen["epoch"],
        "validation_accuracy": chosen["validation_accuracy"],
        "seconds": round(seconds, 3),
    }


def _done(job: Job, workdir: Path, seed: int, level: int) -> bool:
    """Tells whether a level has its summary, its ticket, and what it hands to the next."""
    directory = paths.level(workdir, seed, level)
    parts = [paths.ticket(directory), paths.successor(directory)]
    if level == 0 or not tickets.rewinds_weights(job.config.imp.rewind):
        parts.append(_start(job, workdir, seed, level + 1))
    return paths.summary(directory).exists() and all(store.exists(part) for part in parts)


def _epochs(job: Job, levels: list[int]) -> int:
    """Counts the epochs of some levels."""
    whole = math.ceil(job.steps(job.config.train.duration) / job.steps_per_epoch)
    rewound = whole - job.steps(tickets.rewind_duration(job.config.imp.rewind)) // job.steps_per_epoch
    return sum(rewound if level else whole for level in levels)
