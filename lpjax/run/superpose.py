"""Superpositions: the cheap tickets of a seed, averaged one after another."""

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from lpjax import metrics, pools, sparsity, store, train
from lpjax.run.saved import load_ticket
from lpjax.run.setup import SeedKeys, Setup
from lpjax.run.stage import Output, Outputs, Progress, Stage, is_done
from lpjax.run.training import validation_accuracy
from lpjax.store import paths
from lpjax.types import Ticket, Variables

ENSEMBLE = "ensemble"


def superpose_stage(
    config: ConfigDict, workdir: Path, seed: int, count: int, name: str, *, kind: str = "", decay: float | None = None
) -> Stage:
    """Plan the averages of one kind: of the first cheap ticket, the first two, and so on to all of them.

    Args:
      config: The resolved config.
      workdir: Where the tickets lie; the average of the first k goes to `pools/<name>/level_<k>/`.
      seed: Whose tickets.
      count: Of the tickets.
      name: Of the folder, and by default of the kind.
      kind: One of `pools.KINDS`.
      decay: Instead of the config's.
    """
    return Stage(
        name=f"seed {seed} {name}",
        unit="ticket",
        outputs={level: paths.pool(workdir, seed, name, level) for level in range(1, count + 1)},
        is_complete=lambda level, directory: is_done(directory),
        build=partial(
            superpose_tickets,
            workdir=workdir,
            seed=seed,
            name=name,
            kind=kind or name,
            decay=config.superpose.decay if decay is None else decay,
        ),
        units=lambda setup, missing: max(missing),
    )


def superpose_tickets(
    setup: Setup,
    missing: Sequence[int],
    progress: Progress,
    *,
    workdir: Path,
    seed: int,
    name: str,
    kind: str,
    decay: float,
) -> Outputs:
    """Average tickets in their order, up to the last that is missing."""
    settings = setup.config.superpose
    prunable = setup.network.prunable
    average = pools.superpose(kind, decay=decay, prune=settings.prune, scope=settings.scope, prunable=prunable)
    key = SeedKeys.of(seed).pool
    layers = setup.layer_flops()
    state = None
    previous_mask = None
    if settings.first == "phase":
        state = average.init(_start_of_cycles(setup, workdir, seed))
    for level in range(1, max(missing) + 1):
        start = time.monotonic()
        ticket = load_ticket(setup, paths.level(workdir, seed, level))
        if state is None:
            union = ticket.mask
            state = average.init(ticket)
        else:
            union = jax.tree.map(jnp.logical_or, state.mask, ticket.mask)
            state = average.step(state, ticket)
        overlap = None
        if previous_mask is not None:
            overlap = metrics.mask_overlap(previous_mask, ticket.mask, prunable)
        previous_mask = ticket.mask
        progress.advance()
        if level not in missing:
            continue
        superposed = average.ticket(state)
        if settings.stats == "recalibrate":
            params = _recalibrated(setup.measures.recalibrate, superposed.params, jax.random.fold_in(key, level))
            superposed = superposed._replace(params=params)
        summary = {
            "method": name,
            "seed": seed,
            "level": level,
            **setup.counts(superposed.mask),
            "inference_flops": metrics.inference_flops(layers, superposed.mask.params),
            "overlap": overlap,  # of the last ticket's mask and the one before
            "unpruned_density": sparsity.density(union, prunable),
            "value": validation_accuracy(setup, superposed.params),
            "seconds": round(time.monotonic() - start, 3),
        }
        yield Output(
            paths.pool(workdir, seed, name, level),
            ticket=superposed,
            summary=summary,
            message=(
                f"{name} of {level}: kept {summary['kept']:,} of {summary['unpruned_density']:.4f} averaged, "
                f"validation accuracy {summary['value']:.4f}"
            ),
        )


def _start_of_cycles(setup: Setup, workdir: Path, seed: int) -> Ticket:
    """Restore the network that the first cycle started from."""
    return store.restore_ticket(paths.start(paths.level(workdir, seed, 1)), setup.network.like)


@jax.jit
def _recalibrated(recalibrate: train.Recalibrate, variables: Variables, key: jax.Array) -> Variables:
    return recalibrate(variables, key)
