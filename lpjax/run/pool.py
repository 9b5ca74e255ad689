"""Pools: builds one around every ticket, by every method, on disk."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax

from lpjax import pools, sparsity, store, train
from lpjax.run.imp import SeedKeys
from lpjax.run.job import Job
from lpjax.run.level import done, evaluate, forget
from lpjax.run.progress import Progress
from lpjax.store import paths
from lpjax.types import Ticket

_FLOAT32 = 1e-6


class Search(NamedTuple):
    """A pool method, ready to run around every anchor.

    Attributes:
      pool: The method.
      newcomers: The nearest so many are tried; 0 for all, None for a method that takes none.
      start: The anchors' first values, one a level; measured on validation where there are none.
    """

    pool: pools.Pool
    newcomers: int | None
    start: tuple[float, ...] = ()


def searches(job: Job) -> dict[str, Search]:
    """Lists what the config asks for.

    Args:
      job: Its network, validation and recalibration.

    Returns:
      Searches by name.
    """
    return {method: search(job, method) for method in job.config.pool.methods}


def search(job: Job, method: str, *, newcomers: int | None = None, **choices: Any) -> Search:
    """Binds a method to a job's validation and recalibration, with the config's choices.

    Args:
      job: Network, data and config.
      method: A name of `pools.METHODS`.
      newcomers: The nearest so many, 0 for all; by default as many as the config says.
      **choices: Of the engine (`coefficients`, `prune`, ...), instead of the config's.

    Returns:
      The search.
    """
    settings, row = job.config.pool, pools.METHODS[method]
    recalibrate, start = job.recalibrate, ()
    free: dict[str, Any] = {"chunk": settings.chunk}
    if method in ("interpolation", "average"):
        free |= {"accept": settings.accept, "prune": settings.prune, "fresh": settings.numbers == "fresh"}
    if method in ("interpolation", "reference"):
        free["coefficients"] = tuple(settings.coefficients)
    if method == "reference":
        recalibrate, start = _in_order(job), tuple(settings.start)
    pool = row.build(job.evaluate, recalibrate, **(free | choices))
    tried = settings.newcomers if newcomers is None else newcomers
    return Search(pool, tried if row.newcomers else None, start)


def build_pools(job: Job, workdir: Path, seed: int, searches: Mapping[str, Search]) -> None:
    """Builds the pools of one seed that are not done.

    Args:
      job: Network, validation and recalibration.
      workdir: Where the tickets lie and the pools go.
      seed: Whose tickets.
      searches: By name; pools go to `pools/<name>/`.
    """
    levels = range(job.config.imp.levels)
    missing = [
        (name, anchor) for name in searches for anchor in levels if not done(paths.pool(workdir, seed, name, anchor))
    ]
    for name, search in searches.items():
        _check_start(workdir, seed, name, search)
    if not missing:
        return
    found = {level: load_ticket(job, paths.level(workdir, seed, level)) for level in levels}
    newcomers = {(name, anchor): _newcomers(searches[name], anchor, levels) for name, anchor in missing}
    key = SeedKeys.of(seed).pool
    with Progress(f"seed {seed} pools", sum(map(len, newcomers.values())), "newcomer") as progress:
        for name, anchor in missing:
            clock = time.monotonic()
            method, given = searches[name].pool, searches[name].start
            directory = paths.pool(workdir, seed, name, anchor)
            value = (given[anchor],) if given else ()
            state = method.init(found[anchor], jax.random.fold_in(key, anchor), *value)
            start, trials = float(state.value), []
            for newcomer in newcomers[name, anchor]:
                state, trial = method.step(state, found[newcomer].variables)
                trials.append({"newcomer": newcomer, **_plain(trial)})
                progress.advance(note=f"{name}, anchor {anchor}")
            ticket = method.ticket(state)
            kept, total = int(sparsity.kept(ticket.mask)), sparsity.total(ticket.mask)
            counts = {"method": name, "seed": seed, "anchor": anchor, "kept": kept, "total": total}
            forget(directory)
            store.save_ticket(paths.ticket(directory), ticket)
            store.write_json(paths.trace(directory), {**counts, "start": start, "trials": trials})
            # Of the pruned ticket: a search that prunes at its end knows only the unpruned mix's value.
            outcome = {"accepted": int(state.accepted), "value": float(evaluate(job.evaluate, ticket.variables))}
            seconds = round(time.monotonic() - clock, 3)
            store.write_json(paths.summary(directory), {**counts, **outcome, "seconds": seconds})
            progress.line(
                f"{name} around level {anchor:2d}: accepted {outcome['accepted']} of {len(trials)}, "
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


def _check_start(workdir: Path, seed: int, name: str, search: Search) -> None:
    """Refuses first values other than those that finished pools started from."""
    for anchor, value in enumerate(search.start):
        trace = paths.trace(paths.pool(workdir, seed, name, anchor))
        if trace.exists() and abs((before := store.read_json(trace)["start"]) - value) > _FLOAT32:
            raise ValueError(
                f"pool.start gives {value} for level {anchor}, but {trace.parent} started from {before:.6g}; "
                "give that, or delete the folder"
            )


def _in_order(job: Job) -> train.Recalibrate:
    """Recalibrates on all training images as they are stored: nothing is drawn."""

    def plain(keys: jax.Array, images: jax.Array) -> jax.Array:
        del keys
        return job.preprocess(images)

    images, size = job.images, job.config.train.batch_size
    return train.recalibrator(job.apply, plain, job.train, images=images, batch_size=size, shuffle=False)


def _newcomers(search: Search, anchor: int, levels: range) -> list[int]:
    return [] if search.newcomers is None else pools.adjacent(anchor, levels, search.newcomers)


def _plain(trial: pools.Trial) -> dict[str, Any]:
    return {
        "coefficient": round(float(trial.coefficient), 6),
        "value": float(trial.value),
        "accepted": bool(trial.accepted),
        "coefficients": [round(float(c), 6) for c in trial.coefficients],
        "values": [float(v) for v in trial.values],
    }
