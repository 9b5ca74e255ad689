"""Sparse training: both arms of a seed, trained, measured after every epoch, their tickets kept on disk."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from lpjax import metrics, sparsity, store, train, transforms
from lpjax.run.arms import Arm
from lpjax.run.check_sparse import DENSE
from lpjax.run.costs import cost, layer_flops
from lpjax.run.imp import SeedKeys
from lpjax.run.job import Job
from lpjax.run.level import done, evaluate, forget
from lpjax.run.progress import Progress
from lpjax.store import paths
from lpjax.types import PyTree, Ticket


def train_arms(job: Job, workdir: Path, seed: int, arms: Sequence[Arm]) -> None:
    """Trains every arm of a seed that is not done, from the same initial weights in the same order of images.

    Args:
      job: What to train, and how.
      workdir: Where tickets go: the base network is level 0, the k-th cheap ticket level k.
      seed: Decides initial weights, masks, orders and augmentations.
      arms: From `arms(job)`.

    Raises:
      ValueError: If the loss is not finite.
    """
    for arm in arms:
        _train(job, workdir, seed, arm)


def _train(job: Job, workdir: Path, seed: int, arm: Arm) -> None:
    missing = [level for level in arm.ends if not _done(job, workdir, seed, level)]
    if not missing:
        return
    for level in missing:
        paths.metrics(paths.level(workdir, seed, level)).unlink(missing_ok=True)
    clock, keys, stop = time.monotonic(), SeedKeys.of(seed), arm.ends[missing[-1]]
    state = arm.start(job.initialise(keys.initial), keys.prune)
    layers, spent, before = layer_flops(job), 0.0, 0
    share = metrics.inference_flops(layers, _masks(job, state)[0])
    with Progress(f"seed {seed} {arm.name}", -(-stop // job.steps_per_epoch), "epoch") as progress:
        marks = [arm.phases.before, *arm.ends.values()]
        for moment in job.fit(arm.step, state, jax.random.fold_in(keys.train, 0), stop=stop, marks=marks):
            mask, old = _masks(job, moment.state)[0], share
            share = metrics.inference_flops(layers, mask)
            spent += cost(job, arm, range(before, moment.step), old, share)
            before = moment.step
            level = next(level for level, end in arm.ends.items() if moment.step <= end)
            if level not in missing:
                progress.advance()
                continue
            directory = paths.level(workdir, seed, level)
            line = _line(job, arm, moment) | {"flops": share}
            store.append_jsonl(paths.metrics(directory), line)
            progress.advance(note=f"validation {line['validation_accuracy']:.4f}")
            if moment.step == arm.phases.before and _averages_start(job, level):
                store.save_ticket(paths.start(directory), Ticket(moment.state.variables, mask))
            if moment.step < arm.ends[level]:
                continue
            forget(directory)
            store.save_ticket(paths.ticket(directory), Ticket(moment.state.variables, mask))
            costs = {"inference_flops": share, "training_flops": spent / job.steps(job.config.train.duration)}
            seconds = round(time.monotonic() - clock, 3)
            summary = {"level": level, **_summary(line, mask), **costs, "seconds": seconds}
            store.write_json(paths.summary(directory), summary)
            progress.line(
                f"{f'cheap ticket {level}' if level else arm.name}: kept {line['kept']:,} ({line['density']:.4f}), "
                f"validation accuracy {line['validation_accuracy']:.4f} after epoch {line['epoch']:g}"
            )
            clock = time.monotonic()


def _line(job: Job, arm: Arm, moment: train.Moment) -> dict[str, Any]:
    if not np.isfinite(moment.metrics.loss):
        raise ValueError(
            f"the loss of the {arm.name} is {moment.metrics.loss} at step {moment.step}; lower train.learning_rate"
        )
    mask, explored = _masks(job, moment.state)
    return {
        "epoch": moment.step / job.steps_per_epoch,
        "step": moment.step,
        "learning_rate": float(arm.learning_rate(moment.step - 1)),
        "loss": float(moment.metrics.loss),
        "accuracy": float(moment.metrics.accuracy),
        "validation_accuracy": float(evaluate(job.evaluate, moment.state.variables)),
        "kept": int(sparsity.kept(mask)),
        "density": sparsity.density(mask),
        "explored": metrics.exploration_rate(explored),
    }


def _masks(job: Job, state: train.TrainState) -> tuple[PyTree, PyTree]:
    """Finds the mask, and all that has ever lived."""
    if job.config.sparse.method == DENSE:
        return job.mask, job.mask
    return transforms.mask_of(state.opt_state), transforms.explored_of(state.opt_state)


def _summary(line: dict[str, Any], mask: PyTree) -> dict[str, Any]:
    names = ("kept", "density", "explored", "epoch", "validation_accuracy")
    layers = {
        name: float(np.asarray(leaf).mean()) for name, leaf in sparsity.named_leaves(mask).items() if np.ndim(leaf)
    }
    return {"total": sparsity.total(mask), **{name: line[name] for name in names}, "layers": layers}


def _averages_start(job: Job, level: int) -> bool:
    """Tells whether the network that the first cycle starts from is averaged too."""
    return level == 1 and job.config.superpose.first == "phase"


def _done(job: Job, workdir: Path, seed: int, level: int) -> bool:
    directory = paths.level(workdir, seed, level)
    return done(directory) and (not _averages_start(job, level) or store.exists(paths.start(directory)))
