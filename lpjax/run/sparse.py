"""Sparse training: both arms of a seed, trained, measured after every epoch, their tickets kept on disk."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from lpjax import metrics, sparsity, store, train, transforms
from lpjax.run.arms import Arm
from lpjax.run.check_sparse import DENSE
from lpjax.run.costs import cost, layer_flops
from lpjax.run.imp import SeedKeys
from lpjax.run.job import Job
from lpjax.run.level import cut, done, evaluate, forget
from lpjax.run.processes import told
from lpjax.run.progress import Progress
from lpjax.run.saving import NOTHING, Saver, keeping
from lpjax.store import paths
from lpjax.types import PyTree, Ticket, Variables


class Training(NamedTuple):
    """All that the loop of an arm carries: what is saved of it.

    Attributes:
      state: Of the optimizer's last step.
      seen: `[N, 3]`: what the calls of the device saw since the last measurement, after a row of nothing.
      lines: Written so far to the metrics of the first missing level.
      measured: Steps done at the last measurement.
      share: f_S / f_D of the mask then.
      spent: What the steps until then cost, in steps of the dense network.
    """

    state: train.TrainState
    seen: np.ndarray
    lines: int
    measured: int
    share: float
    spent: float


def train_arms(job: Job, workdir: Path, seed: int, arms: Sequence[Arm]) -> None:
    """Trains every arm of a seed that is not done, from the same initial weights in the same order of images.

    Where the progress of an arm was saved, it goes on there, with the same bits.

    Args:
      job: What to train, and how.
      workdir: Where tickets go: the base network is level 0, the k-th cheap ticket level k. The progress of an arm lies
        with the first of its levels that is missing.
      seed: Decides initial weights, masks, orders and augmentations.
      arms: From `arms(job)`.

    Raises:
      ValueError: If the loss is not finite, the saved progress is damaged, or the disk takes no more.
      Preempted: If the machine is taken away; the progress is saved.
    """
    for arm in arms:
        missing = told(partial(_missing, job, workdir, seed, arm))
        directories = {level: paths.level(workdir, seed, level) for level in arm.ends}
        for level in arm.ends:
            if level not in missing[:1]:
                store.remove(paths.progress(directories[level]))
        if missing:
            _train(job, seed, arm, {level: directories[level] for level in missing})


def _train(job: Job, seed: int, arm: Arm, missing: Mapping[int, Path]) -> None:
    first, *others = missing.values()
    for directory in others:
        cut(directory, 0)
    keys, layers, stop = SeedKeys.of(seed), layer_flops(job), arm.ends[max(missing)]
    with (
        keeping(job, paths.progress(first), f"the {arm.name}") as saver,
        Progress(f"seed {seed} {arm.name}", -(-stop // job.steps_per_epoch), "epoch") as progress,
    ):
        clock, now = time.monotonic(), saver.resume(_begin(job, arm, keys, layers))
        cut(first, now.lines)
        progress.advance(now.measured // job.steps_per_epoch, earlier=True)
        key, marks = jax.random.fold_in(keys.train, 0), [arm.phases.before, *arm.ends.values()]
        should_yield = progress.alive(saver.due)
        for event in job.fit(arm.step, now.state, key, stop=stop, yield_at=marks, should_yield=should_yield):
            saver.ensure_finite(event)
            now = now._replace(state=event.state, seen=np.concatenate([now.seen, event.metrics]))
            if event.step % job.steps_per_epoch == 0 or event.step in marks:
                now = _charge(job, arm, layers, now)
                level = next(level for level, end in arm.ends.items() if event.step <= end)
                if level in missing:
                    now, line = _measure(job, arm, now)
                    store.append_metrics(paths.metrics(missing[level]), line, job.config.tensorboard)
                    progress.advance(note=f"validation {line['validation_accuracy']:.4f}")
                    if event.step == arm.phases.before and _averages_start(job, level):
                        saver.wait()
                        store.save_ticket(paths.start(missing[level]), _ticket(job, now), job.prunable)
                    if event.step == arm.ends[level]:
                        now, summary = now._replace(lines=0), _summary(job, level, now, line, time.monotonic() - clock)
                        _collect(job, level, missing, now, summary, saver)
                        progress.line(_said(arm, summary))
                        clock = time.monotonic()
                else:
                    now = now._replace(seen=NOTHING)
                    progress.advance()
            if event.step < stop:
                saver.keep(event.step, now)


def _collect(
    job: Job, level: int, missing: Mapping[int, Path], now: Training, summary: dict[str, Any], saver: Saver
) -> None:
    """Keeps the ticket of a level, and hands the progress on to the next that is missing."""
    directory, later = missing[level], [other for other in missing if other > level]
    saver.wait()
    forget(directory)
    store.save_ticket(paths.ticket(directory), _ticket(job, now), job.prunable)
    if later:  # before the summary, so that a killed run finds the old progress or the new
        saver.move(paths.progress(missing[later[0]]))
        saver.save(now.measured, now)
        saver.wait()
    store.write_json(paths.summary(directory), summary)
    store.remove(paths.progress(directory))


def _begin(job: Job, arm: Arm, keys: SeedKeys, layers: PyTree) -> Training:
    state = arm.start(job.initialize(keys.initial), keys.prune)
    return Training(state, NOTHING, 0, 0, metrics.inference_flops(layers, _masks(job, state)[0]), 0.0)


def _charge(job: Job, arm: Arm, layers: PyTree, now: Training) -> Training:
    """Adds the cost of the steps since the last measurement."""
    step, share = int(now.state.step), metrics.inference_flops(layers, _masks(job, now.state)[0])
    spent = now.spent + cost(job, arm, range(now.measured, step), now.share, share)
    return now._replace(measured=step, share=share, spent=spent)


def _measure(job: Job, arm: Arm, now: Training) -> tuple[Training, dict[str, Any]]:
    mask, explored = _masks(job, now.state)
    seen = train.mean_metrics(now.seen)
    line = {
        "epoch": now.measured / job.steps_per_epoch,
        "step": now.measured,
        "learning_rate": float(arm.learning_rate(now.measured - 1)),
        "loss": float(seen.loss),
        "accuracy": float(seen.accuracy),
        "validation_accuracy": float(evaluate(job.evaluate, now.state.variables)),
        "kept": int(sparsity.kept(mask, job.prunable)),
        "density": sparsity.density(mask, job.prunable),
        "explored": metrics.exploration_rate(explored, job.prunable),
        "flops": now.share,
    }
    return now._replace(seen=NOTHING, lines=now.lines + 1), line


def _masks(job: Job, state: train.TrainState) -> tuple[PyTree, PyTree]:
    """Finds the mask, and all that was ever kept."""
    if job.config.sparse.method == DENSE:
        return job.mask, job.mask
    return transforms.get_mask(state.opt_state), transforms.get_explored(state.opt_state)


def _ticket(job: Job, now: Training) -> Ticket:
    variables = now.state.variables
    return Ticket(variables, Variables(_masks(job, now.state)[0], sparsity.full_mask(variables.stats)))


def _summary(job: Job, level: int, now: Training, line: dict[str, Any], seconds: float) -> dict[str, Any]:
    mask, _ = _masks(job, now.state)
    return {
        "level": level,
        "total": sparsity.total(mask, job.prunable),
        **{name: line[name] for name in ("kept", "density", "explored", "epoch", "validation_accuracy")},
        "layers": sparsity.density_per_leaf(mask, job.prunable),
        "inference_flops": now.share,
        "training_flops": now.spent / job.steps(job.config.train.duration),
        "seconds": round(seconds, 3),
    }


def _said(arm: Arm, summary: dict[str, Any]) -> str:
    name = f"cheap ticket {summary['level']}" if summary["level"] else arm.name
    return (
        f"{name}: kept {summary['kept']:,} "
        f"({summary['density']:.4f}), validation accuracy {summary['validation_accuracy']:.4f} "
        f"after epoch {summary['epoch']:g}"
    )


def _averages_start(job: Job, level: int) -> bool:
    """Tells whether the network that the first cycle starts from is averaged too."""
    return level == 1 and job.config.superpose.first == "phase"


def _missing(job: Job, workdir: Path, seed: int, arm: Arm) -> list[int]:
    def whole(level: int) -> bool:
        directory = paths.level(workdir, seed, level)
        return done(directory) and (not _averages_start(job, level) or store.exists(paths.start(directory)))

    return [level for level in arm.ends if not whole(level)]
