"""One level: a network is trained inside its mask, validated after every epoch, and what matters is kept."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lpjax import store, tickets, train
from lpjax.run.job import Job
from lpjax.run.progress import Progress
from lpjax.store import paths
from lpjax.types import PyTree, Variables

_PRETRAINING = 2**32 - 1  # the number of no level


def train_level(
    job: Job, directory: Path, level: int, variables: Variables, mask: PyTree, key: jax.Array, progress: Progress
) -> tickets.Trained:
    """Trains one level, validates after every epoch, and keeps the best, the last and the rewind point.

    Args:
      job: What to train, and how.
      directory: The level's; its `metrics.jsonl` is written anew.
      level: Number of prunings done.
      variables: Where the level starts: initial weights at level 0, then the rewind point; masked.
      mask: What lives.
      key: The seed's, for orders and augmentations.
      progress: Moved by one an epoch.

    Returns:
      The weights; a rewind point of level 0 alone.

    Raises:
      ValueError: If the loss is not finite.
    """
    rewind_step, stop = _rewind_step(job), job.steps(job.config.train.duration)
    log = paths.metrics(directory)
    log.unlink(missing_ok=True)
    rewind_point = _copy(variables) if level == 0 and rewind_step == 0 else None
    best, best_value = variables, -math.inf
    since: list[tuple[int, train.StepMetrics]] = []  # the rewind point may split an epoch
    done = rewind_step if level else 0
    for moment in _moments(job, level, variables, mask, key):
        since.append((moment.step - done, moment.metrics))
        done, variables = moment.step, moment.state.variables
        if level == 0 and done == rewind_step:
            rewind_point = _copy(variables)
        if done % job.steps_per_epoch and done not in (_pretraining(job), stop):
            continue
        loss, accuracy = np.average([m for _, m in since], axis=0, weights=[steps for steps, _ in since])
        since.clear()
        if not np.isfinite(loss):
            raise ValueError(f"the loss is {loss} at step {done} of level {level}; lower train.learning_rate")
        value = float(evaluate(job.evaluate, variables))
        if value > best_value and done > _pretraining(job):
            best, best_value = _copy(variables), value
        store.append_jsonl(
            log,
            {
                "epoch": done / job.steps_per_epoch,
                "step": done,
                "learning_rate": float(job.learning_rate(done - 1)),
                "loss": float(loss),
                "accuracy": float(accuracy),
                "validation_accuracy": value,
            },
        )
        progress.advance(note=f"level {level}, validation {value:.4f}")
    return tickets.Trained(best if job.config.imp.ticket == "best" else variables, variables, rewind_point)


def chosen(job: Job, directory: Path) -> dict[str, Any]:
    """Reads which epoch a level's ticket is of.

    Args:
      job: How the level was trained.
      directory: The level's.

    Returns:
      The epoch's line of `metrics.jsonl`.
    """
    epochs = store.read_jsonl(paths.metrics(directory))
    if job.config.imp.ticket == "last":
        return epochs[-1]
    return max((e for e in epochs if e["step"] > _pretraining(job)), key=lambda e: e["validation_accuracy"])


def epochs(job: Job, level: int) -> int:
    """Counts the epochs of a level, begun ones included.

    Args:
      job: How long it trains.
      level: Number of prunings done.

    Returns:
      As many as `train_level` records.
    """
    before = _rewind_step(job) / job.steps_per_epoch
    after = math.ceil(job.steps(job.config.train.duration) / job.steps_per_epoch) - math.floor(before)
    if level:
        return after
    return after + (math.ceil(before) if _pretraining(job) else math.floor(before))


def done(directory: Path) -> bool:
    """Tells whether a network is there whole.

    Args:
      directory: A level's or a pool's.

    Returns:
      Whether it has its summary, written last, and its ticket.
    """
    return paths.summary(directory).exists() and store.exists(paths.ticket(directory))


def forget(directory: Path) -> None:
    """Removes what was measured of the network that a directory held before, as a new one is about to be saved.

    Args:
      directory: A level's or a pool's.
    """
    for measured in (paths.evaluation(directory), paths.corruptions(directory)):
        measured.unlink(missing_ok=True)


@jax.jit
def evaluate(of: train.Evaluate, variables: Variables) -> jax.Array:
    """Calls an evaluator, compiled once for all networks of a shape."""
    return of(variables)


def _moments(job: Job, level: int, variables: Variables, mask: PyTree, key: jax.Array) -> Iterator[train.Moment]:
    """Trains from the rewind point to the end; level 0 also what comes before, in the same run or in one of its own."""
    optimizer, rewind_step, stop = job.optimizer(mask), _rewind_step(job), job.steps(job.config.train.duration)

    def fit(variables: Variables, start: int, stop: int, number: int, *marks: int) -> Iterator[train.Moment]:
        state = train.initial_state(variables, optimizer, start)
        return job.fit(job.step, state, jax.random.fold_in(key, number), stop=stop, marks=marks)

    if level == 0 and not _pretraining(job):
        yield from fit(variables, 0, stop, level, rewind_step)
        return
    if level == 0:
        for moment in fit(variables, 0, rewind_step, _PRETRAINING):
            yield moment
            variables = moment.state.variables
    yield from fit(variables, rewind_step, stop, level)


def _rewind_step(job: Job) -> int:
    return job.steps(tickets.rewind_duration(job.config.imp.rewind))


def _pretraining(job: Job) -> int:
    """Counts the steps before the dense level begins, whose weights are no tickets."""
    return _rewind_step(job) if job.config.imp.dense == "rewound" else 0


def _copy(variables: Variables) -> Variables:
    """Saves weights from the next step, which donates their buffers."""
    return jax.tree.map(jnp.copy, variables)
