"""Superpositions: the cheap tickets of a seed averaged one after another, on disk."""

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp

from lpjax import metrics, pools, sparsity, store, train
from lpjax.run.analyze import vote
from lpjax.run.costs import layer_flops
from lpjax.run.imp import SeedKeys
from lpjax.run.job import Job
from lpjax.run.level import done, evaluate, forget
from lpjax.run.notice import heed
from lpjax.run.pool import load_ticket
from lpjax.run.processes import told
from lpjax.run.progress import Progress
from lpjax.store import paths
from lpjax.types import Ticket, Variables

ENSEMBLE = "ensemble"


def superpositions(job: Job) -> dict[str, pools.Superpose]:
    """Lists what the config asks for.

    Args:
      job: Its config.

    Returns:
      Ways of averaging by name.
    """
    settings = job.config.superpose
    choices = {"decay": settings.decay, "prune": settings.prune, "scope": settings.scope, "prunable": job.prunable}
    return {kind: pools.superpose(kind, **choices) for kind in settings.averages}


def superpose_tickets(job: Job, workdir: Path, seed: int, superpositions: Mapping[str, pools.Superpose]) -> None:
    """Makes the superpositions of one seed that are not there, of its first ticket, first two, and so on to all.

    Args:
      job: Network, validation and recalibration.
      workdir: Where the tickets lie and the superpositions go.
      seed: Whose tickets.
      superpositions: By name; the one of the first k tickets goes to `pools/<name>/level_<k>/`.
    """
    for name, superposition in superpositions.items():
        here = {level: paths.pool(workdir, seed, name, level) for level in range(1, job.levels)}
        if missing := told(partial(_lacking, here)):
            _superpose(job, workdir, seed, name, superposition, missing)


def superpose_outputs(job: Job, workdir: Path, seed: int) -> None:
    """Measures the output ensembles of the same tickets: what merging them saves.

    Args:
      job: Network and data.
      workdir: Where the tickets lie; measurements go to `pools/ensemble/`.
      seed: Whose.
    """
    members = {level: list(range(1, level + 1)) for level in range(1, job.levels)}
    vote(job, workdir, seed, {ENSEMBLE: "probabilities"}, members)


def _superpose(
    job: Job, workdir: Path, seed: int, name: str, superposition: pools.Superpose, missing: list[int]
) -> None:
    key, state, before, layers = SeedKeys.of(seed).pool, None, None, layer_flops(job)
    if job.config.superpose.first == "phase":
        state = superposition.init(_start(job, workdir, seed))
    with Progress(f"seed {seed} {name}", missing[-1], "ticket") as progress:
        for level in range(1, missing[-1] + 1):
            clock = time.monotonic()
            ticket = load_ticket(job, paths.level(workdir, seed, level))
            together = ticket.mask if state is None else jax.tree.map(jnp.logical_or, state.mask, ticket.mask)
            state = superposition.init(ticket) if state is None else superposition.step(state, ticket)
            overlap = None if before is None else metrics.mask_overlap(before, ticket.mask, job.prunable)
            before = ticket.mask
            progress.advance()
            heed()
            if level not in missing:
                continue
            average = superposition.ticket(state)
            if job.config.superpose.stats == "recalibrate":
                key_here = jax.random.fold_in(key, level)
                average = average._replace(params=_recalibrated(job.recalibrate, average.params, key_here))
            directory = paths.pool(workdir, seed, name, level)
            summary = {
                "method": name,
                "seed": seed,
                "level": level,
                "kept": int(sparsity.kept(average.mask, job.prunable)),
                "total": sparsity.total(average.mask, job.prunable),
                "density": sparsity.density(average.mask, job.prunable),
                "inference_flops": metrics.inference_flops(layers, average.mask.params),
                "overlap": overlap,  # of the last ticket's mask and the one before
                "unpruned_density": sparsity.density(together, job.prunable),
                "value": float(evaluate(job.evaluate, average.params)),
            }
            forget(directory)
            store.save_ticket(paths.ticket(directory), average, job.prunable)
            store.write_json(paths.summary(directory), {**summary, "seconds": round(time.monotonic() - clock, 3)})
            progress.line(
                f"{name} of {level}: kept {summary['kept']:,} of {summary['unpruned_density']:.4f} averaged, "
                f"validation accuracy {summary['value']:.4f}"
            )


def _lacking(here: Mapping[int, Path]) -> list[int]:
    return [level for level, directory in here.items() if not done(directory)]


def _start(job: Job, workdir: Path, seed: int) -> Ticket:
    """Restores the network that the first cycle started from."""
    like = jax.eval_shape(job.initialize, jax.random.key(0))
    return store.restore_ticket(paths.start(paths.level(workdir, seed, 1)), like)


@jax.jit
def _recalibrated(recalibrate: train.Recalibrate, variables: Variables, key: jax.Array) -> Variables:
    return recalibrate(variables, key)
