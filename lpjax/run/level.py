"""One level: a network is trained inside its mask, validated after every epoch, and what matters is kept."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lpjax import store, tickets, train
from lpjax.run.job import Job
from lpjax.run.processes import told
from lpjax.run.progress import Progress
from lpjax.run.saving import NOTHING, keeping
from lpjax.store import paths
from lpjax.types import PyTree, Variables

_PRETRAINING = 2**32 - 1  # the number of no level


class Trained(NamedTuple):
    """What training one level yields.

    Attributes:
      ticket: The weights to keep: best on validation, or the last.
      last: The last weights.
      rewind_point: The weights at the rewind step; of level 0 alone.
    """

    ticket: Variables
    last: Variables
    rewind_point: Variables | None


class Training(NamedTuple):
    """All that the loop of a level carries: what is saved of it.

    Attributes:
      state: Of the optimizer's last step.
      seen: `[N, 3]`: what the calls of the device saw since the last line of metrics, after a row of nothing.
      lines: Written to metrics so far.
      best: The weights that were best on validation; None where the last are kept.
      value: Their accuracy.
      rewind_point: Of level 0; the initial weights until it is reached.
    """

    state: train.TrainState
    seen: np.ndarray
    lines: int
    best: Variables | None
    value: float
    rewind_point: Variables | None


def train_level(
    job: Job, directory: Path, level: int, variables: Variables, mask: PyTree, key: jax.Array, progress: Progress
) -> Trained:
    """Trains one level, validates after every epoch, and keeps the best, the last and the rewind point.

    Where its progress was saved, it goes on there, with the same bits.

    Args:
      job: What to train, and how.
      directory: The level's; holds its `metrics.jsonl` and, while it trains, its progress.
      level: Number of prunings done.
      variables: Where the level starts: initial weights at level 0, then the rewind point; masked.
      mask: The mask of the parameters.
      key: The seed's, for orders and augmentations.
      progress: Moved by one an epoch.

    Returns:
      The weights; a rewind point of level 0 alone.

    Raises:
      ValueError: If the loss is not finite, the saved progress is damaged, or the disk takes no more.
      Preempted: If the machine is taken away; the progress is saved.
    """
    with keeping(job, paths.progress(directory), f"level {level}") as saver:
        now = saver.resume(_begin(job, level, variables, mask))
        cut(directory, now.lines)
        progress.advance(now.lines, earlier=True)
        for event in _events(job, level, now.state, mask, key, progress.alive(saver.due)):
            saver.ensure_finite(event)
            now = now._replace(state=event.state, seen=np.concatenate([now.seen, event.metrics]))
            if level == 0 and event.step == _rewind_step(job):
                now = now._replace(rewind_point=_copy(event.state.variables))
            if _ends_epoch(job, event.step):
                now, line = _validate(job, now)
                store.append_metrics(paths.metrics(directory), line, job.config.tensorboard)
                progress.advance(note=f"level {level}, validation {line['validation_accuracy']:.4f}")
            saver.keep(event.step, now)
    last = now.state.variables
    return Trained(last if now.best is None else now.best, last, now.rewind_point)


def _begin(job: Job, level: int, variables: Variables, mask: PyTree) -> Training:
    state = train.initial_state(variables, job.optimizer(mask), _rewind_step(job) if level else 0)
    best = variables if job.config.imp.ticket == "best" else None
    return Training(state, NOTHING, 0, best, -math.inf, None if level else _copy(variables))


def _validate(job: Job, now: Training) -> tuple[Training, dict[str, Any]]:
    """Measures the network after an epoch, and keeps it if it is the best so far."""
    step, variables = int(now.state.step), now.state.variables
    seen, value = train.mean_metrics(now.seen), float(evaluate(job.evaluate, variables))
    line = {
        "epoch": step / job.steps_per_epoch,
        "step": step,
        "learning_rate": float(job.learning_rate(step - 1)),
        "loss": float(seen.loss),
        "accuracy": float(seen.accuracy),
        "validation_accuracy": value,
    }
    now = now._replace(seen=NOTHING, lines=now.lines + 1)
    if now.best is not None and value > now.value and step > _pretraining(job):
        now = now._replace(best=_copy(variables), value=value)
    return now, line


def chosen(job: Job, directory: Path) -> dict[str, Any]:
    """Reads which epoch a level's ticket is of.

    Args:
      job: How the level was trained.
      directory: The level's.

    Returns:
      The epoch's line of `metrics.jsonl`.
    """
    epochs = told(lambda: store.read_jsonl(paths.metrics(directory)))
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
        with store.writing(measured):
            measured.unlink(missing_ok=True)


def cut(directory: Path, lines: int) -> None:
    """Cuts metrics back to the lines that the progress of a training knows.

    Args:
      directory: A level's.
      lines: How many.

    Raises:
      DamagedProgress: If there are fewer.
    """
    log = paths.metrics(directory)
    known = told(lambda: store.read_jsonl(log)[:lines])
    if len(known) < lines:
        raise store.DamagedProgress(paths.progress(directory), f"{log.name} has {len(known)} of its {lines} lines")
    if known:
        store.write_jsonl(log, known)
    elif jax.process_index() == 0:
        with store.writing(log):
            log.unlink(missing_ok=True)


@jax.jit
def evaluate(of: train.Evaluate, variables: Variables) -> jax.Array:
    """Calls an evaluator, compiled once for all networks of a shape."""
    return of(variables)


def _events(
    job: Job, level: int, state: train.TrainState, mask: PyTree, key: jax.Array, should_yield: Callable[[int], bool]
) -> Iterator[train.TrainEvent]:
    """Trains to the end; level 0 also what comes before the rewind point, in the same run or in one of its own."""
    rewind_step, stop = _rewind_step(job), job.steps(job.config.train.duration)

    def fit(state: train.TrainState, number: int, stop: int) -> Iterator[train.TrainEvent]:
        return job.fit(
            job.step,
            state,
            jax.random.fold_in(key, number),
            stop=stop,
            yield_at=(rewind_step,),
            should_yield=should_yield,
        )

    if level == 0 and 0 < _pretraining(job) >= int(state.step):
        for event in fit(state, _PRETRAINING, rewind_step):
            yield event
            state = event.state
        state = train.initial_state(state.variables, job.optimizer(mask), rewind_step)
    yield from fit(state, level, stop)


def _ends_epoch(job: Job, step: int) -> bool:
    """Tells whether a line of metrics follows; the last epoch, and the pretraining's, may be a begun one."""
    return step % job.steps_per_epoch == 0 or step in (_pretraining(job), job.steps(job.config.train.duration))


def _rewind_step(job: Job) -> int:
    return job.steps(tickets.rewind_duration(job.config.imp.rewind))


def _pretraining(job: Job) -> int:
    """Counts the steps before the dense level begins, whose weights are no tickets."""
    return _rewind_step(job) if job.config.imp.dense == "rewound" else 0


def _copy(variables: Variables) -> Variables:
    """Saves weights from the next step, which donates their buffers."""
    return jax.tree.map(jnp.copy, variables)
