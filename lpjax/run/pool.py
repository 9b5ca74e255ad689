"""Pools: builds one around every ticket, by every method, on disk."""

import time
from pathlib import Path
from typing import Any

import jax

from lpjax import pools, sparsity, store
from lpjax.run.imp import SeedKeys, evaluate
from lpjax.run.job import Job
from lpjax.run.progress import Progress
from lpjax.store import paths
from lpjax.types import Ticket


def build_pools(job: Job, workdir: Path, seed: int) -> None:
    """Builds the pools of one seed that are not done.

    Args:
      job: Network, validation and recalibration.
      workdir: Where the tickets lie and the pools go.
      seed: Whose tickets.
    """
    levels = range(job.config.imp.levels)
    missing = [
        (method, anchor)
        for method in job.config.pool.methods
        for anchor in levels
        if not _done(paths.pool(workdir, seed, method, anchor))
    ]
    if not missing:
        return
    found = {level: load_ticket(job, paths.level(workdir, seed, level)) for level in levels}
    key = SeedKeys.of(seed).pool
    methods = {method: _build(job, method) for method, _ in missing}
    newcomers = {method: _newcomers(job, method) for method in methods}
    steps = sum(len(newcomers[method][anchor]) for method, anchor in missing)
    with Progress(f"seed {seed} pools", steps, "newcomer") as progress:
        for method, anchor in missing:
            clock = time.monotonic()
            search = methods[method]
            directory = paths.pool(workdir, seed, method, anchor)
            state = search.init(found[anchor], jax.random.fold_in(key, anchor))
            start, trials = float(state.value), []
            for newcomer in newcomers[method][anchor]:
                state, trial = search.step(state, found[newcomer].variables)
                trials.append({"newcomer": newcomer, **_plain(trial)})
                progress.advance(note=f"{method}, anchor {anchor}")
            ticket = search.ticket(state)
            kept, total = int(sparsity.kept(ticket.mask)), sparsity.total(ticket.mask)
            counts = {"method": method, "seed": seed, "anchor": anchor, "kept": kept, "total": total}
            store.save_ticket(paths.ticket(directory), ticket)
            store.write_json(paths.trace(directory), {**counts, "start": start, "trials": trials})
            # Of the pruned ticket: a search that prunes at its end knows only the unpruned mix's value.
            outcome = {"accepted": int(state.accepted), "value": float(evaluate(job.evaluate, ticket.variables))}
            seconds = round(time.monotonic() - clock, 3)
            store.write_json(paths.summary(directory), {**counts, **outcome, "seconds": seconds})
            progress.line(
                f"{method} around level {anchor:2d}: accepted {outcome['accepted']} of {len(trials)}, "
                f"validation {start:.4f} -> {outcome['value']:.4f}"
            )


def load_ticket(job: Job, directory: Path) -> Ticket:
    """Restores a ticket of this job's network.

    Args:
      job: Whose network it must fit.
      directory: The level's or the pool's.

    Returns:
      The ticket, in numpy arrays.

    Raises:
      ValueError: If it is damaged, or of another architecture.
    """
    like = jax.eval_shape(job.initialise, jax.random.key(0))
    return store.restore_ticket(paths.ticket(directory), like)


def _done(directory: Path) -> bool:
    return paths.summary(directory).exists() and store.exists(paths.ticket(directory))


def _build(job: Job, name: str) -> pools.Pool:
    settings = job.config.pool
    free: dict[str, Any] = {"chunk": settings.chunk}
    if name in ("interpolation", "average"):
        free |= {"accept": settings.accept, "prune": settings.prune, "fresh": settings.numbers == "fresh"}
    if name == "interpolation":
        free["coefficients"] = tuple(settings.coefficients)
    return pools.METHODS[name].build(job.evaluate, job.recalibrate, **free)


def _newcomers(job: Job, method: str) -> dict[int, list[int]]:
    levels = range(job.config.imp.levels)
    if not pools.METHODS[method].newcomers:
        return {anchor: [] for anchor in levels}
    return {anchor: pools.adjacent(anchor, levels, job.config.pool.newcomers) for anchor in levels}


def _plain(trial: pools.Trial) -> dict[str, Any]:
    return {
        "coefficient": round(float(trial.coefficient), 6),
        "value": float(trial.value),
        "accepted": bool(trial.accepted),
        "coefficients": [round(float(c), 6) for c in trial.coefficients],
        "values": [float(v) for v in trial.values],
    }
