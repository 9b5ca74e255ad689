"""Tickets: trains, keeps, prunes and rewinds, level after level, on disk; or takes those found elsewhere."""

import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lpjax import sparsity, store, tickets
from lpjax.run.imported import take_tickets
from lpjax.run.job import Job
from lpjax.run.level import chosen, epochs, forget, train_level
from lpjax.run.processes import told
from lpjax.run.progress import Progress
from lpjax.store import paths
from lpjax.types import PyTree, Ticket, Variables


def find_tickets(job: Job, workdir: Path, seed: int) -> None:
    """Runs iterative magnitude pruning for one seed, leaving alone the levels that are done.

    Args:
      job: What to train, and how.
      workdir: Where tickets go.
      seed: Decides initial weights, orders and augmentations.

    Raises:
      ValueError: If the loss is not finite, tickets found elsewhere are missing or of another network, or the disk
        takes no more.
      Preempted: If the machine is taken away; what was done is saved.
    """
    if job.config.imp.tickets_from:
        take_tickets(job, workdir, seed)
        return
    settings = job.config.imp
    missing = told(lambda: [level for level in range(settings.levels) if not _done(job, workdir, seed, level)])
    for level in set(range(settings.levels)) - set(missing):
        store.remove(paths.progress(paths.level(workdir, seed, level)))
    if not missing:
        return
    keys = SeedKeys.of(seed)
    pruning = _pruning(job, keys)
    rewinds = tickets.rewinds_weights(settings.rewind)
    with Progress(f"seed {seed} tickets", sum(epochs(job, level) for level in missing), "epoch") as progress:
        state = pruning.init(job.initialize(keys.initial))
        for level in missing:
            clock = time.monotonic()
            if state.level != level:
                state = _resume(job, workdir, seed, level)
            directory = paths.level(workdir, seed, level)
            trained = train_level(job, directory, level, state.params, state.mask.params, keys.train, progress)
            ticket = Ticket(sparsity.apply_mask(trained.ticket, state.mask), state.mask)
            source = trained.last if settings.mask_from == "last" else trained.ticket
            rewind_point = trained.rewind_point if rewinds and level == 0 else None
            state = pruning.step(state, source, rewind_point)
            _hand_on(job, workdir, seed, state)
            forget(directory)
            store.save_ticket(paths.ticket(directory), ticket, job.prunable)
            summary = _summary(job, level, ticket.mask, directory, time.monotonic() - clock)
            store.write_json(paths.summary(directory), summary)
            store.remove(paths.progress(directory))
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


def _pruning(job: Job, keys: SeedKeys) -> tickets.IMP:
    settings = job.config.imp
    return tickets.imp(
        prune_fraction=settings.prune_fraction,
        score=tickets.random_score(keys.prune) if settings.score == "random" else tickets.by_magnitude,
        scope=settings.scope,
        count_rule=tickets.RULES[settings.count_rule],
        rewind=tickets.rewinds_weights(settings.rewind),
        prunable=job.prunable,
    )


def _hand_on(job: Job, workdir: Path, seed: int, state: tickets.IMPState) -> None:
    """Saves what the next level needs: its mask, and its start where that is not there yet."""
    mask = store.compact_mask(jax.device_get(state.mask.params), job.like.params, job.prunable)
    store.save(paths.successor(paths.level(workdir, seed, state.level - 1)), mask=mask)
    start = _start(job, workdir, seed, state.level)
    if not told(lambda: store.exists(start)):
        weights = state.rewind_point if tickets.rewinds_weights(job.config.imp.rewind) else state.params
        store.save(start, start=weights._asdict())


def _resume(job: Job, workdir: Path, seed: int, level: int) -> tickets.IMPState:
    """Restores what the level before handed on."""
    before = paths.successor(paths.level(workdir, seed, level - 1))
    start = store.restore(_start(job, workdir, seed, level), "start", like={"start": job.like._asdict()})["start"]
    saved = sparsity.rebuild(store.restore(before, "mask")["mask"], job.like.params)
    mask = Variables(sparsity.expand_mask(saved, job.like.params), sparsity.full_mask(job.like.stats))
    weights = jax.tree.map(jnp.asarray, Variables(**start))
    rewind_point = weights if tickets.rewinds_weights(job.config.imp.rewind) else ()
    return tickets.IMPState(level, sparsity.apply_mask(weights, mask), mask, rewind_point)


def _start(job: Job, workdir: Path, seed: int, level: int) -> Path:
    """Names where the weights lie that a level starts from: one rewind point for all, or one start a level."""
    if tickets.rewinds_weights(job.config.imp.rewind):
        return paths.rewind(workdir, seed)
    return paths.start(paths.level(workdir, seed, level))


def _summary(job: Job, level: int, mask: PyTree, directory: Path, seconds: float) -> dict[str, Any]:
    epoch = chosen(job, directory)
    return {
        "level": level,
        "kept": int(sparsity.kept(mask, job.prunable)),
        "total": sparsity.total(mask, job.prunable),
        "density": sparsity.density(mask, job.prunable),
        "epoch": epoch["epoch"],
        "validation_accuracy": epoch["validation_accuracy"],
        "seconds": round(seconds, 3),
    }


def _done(job: Job, workdir: Path, seed: int, level: int) -> bool:
    """Tells whether a level has its summary, its ticket, and what it hands to the next."""
    directory = paths.level(workdir, seed, level)
    parts = [paths.ticket(directory), paths.successor(directory)]
    if level == 0 or not tickets.rewinds_weights(job.config.imp.rewind):
        parts.append(_start(job, workdir, seed, level + 1))
    return paths.summary(directory).exists() and all(store.exists(part) for part in parts)
