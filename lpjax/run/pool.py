"""Pools: builds one around every ticket, by every method, on disk."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from lpjax import pools, sparsity, store, train
from lpjax.run.imp import SeedKeys
from lpjax.run.job import Job
from lpjax.run.level import done, evaluate, forget
from lpjax.run.notice import heed
from lpjax.run.processes import told
from lpjax.run.progress import Progress
from lpjax.store import paths
from lpjax.types import Ticket

_FLOAT32 = 1e-6


class Search(NamedTuple):
    """A pool method, ready to run around every anchor.

    Attributes:
      pool: The method.
      candidates: The nearest so many are tried; 0 for all, None for a method that takes none.
      start: The anchors' first values, one a level; measured on validation where there are none.
    """

    pool: pools.Pool
    candidates: int | None
    start: tuple[float, ...] = ()


def searches(job: Job) -> dict[str, Search]:
    """Lists what the config asks for.

    Args:
      job: Its network, validation and recalibration.

    Returns:
      Searches by name.
    """
    return {method: search(job, method) for method in job.config.pool.methods}


def search(job: Job, method: str, *, candidates: int | None = None, **choices: Any) -> Search:
    """Binds a method to a job's validation and recalibration, with the config's choices.

    Args:
      job: Network, data and config.
      method: A name of `pools.METHODS`.
      candidates: The nearest so many, 0 for all; by default as many as the config says.
      **choices: Of the engine (`coefficients`, `prune`, ...), instead of the config's.

    Returns:
      The search.
    """
    settings, row = job.config.pool, pools.METHODS[method]
    free: dict[str, Any] = {"chunk": settings.chunk, "prunable": job.prunable}
    if method in ("interpolation", "average"):
        free |= {"accept": settings.accept, "prune": settings.prune}
        free["recalibration_batches"] = settings.recalibration_batches
    if method in ("interpolation", "reference"):
        free["coefficients"] = tuple(settings.coefficients)
    free |= choices
    grid = shared_out(settings.spread, len(free.get("coefficients", (None,))), job.mesh.size) == "grid"
    evaluate, recalibrate = job.alone if grid else (job.evaluate, job.recalibrate)
    if grid:
        free["map_fn"] = train.shard_candidates(job.mesh)
    if method == "reference":
        recalibrate = _in_order(job, None if grid else job.mesh)
    tried = settings.candidates if candidates is None else candidates
    start = tuple(settings.start) if method == "reference" else ()
    return Search(row.build(evaluate, recalibrate, **free), tried if row.candidates else None, start)


def shared_out(setting: str, mixes: int, devices: int) -> str:
    """Chooses what the devices share: the grid of mixes, or the images of one mix after another.

    With the grid nothing passes between devices, and a candidate takes the time of `ceil(k / n)` mixes where
    `k / n` would be ideal. With the images every batch is `n` times smaller, and BatchNorm's statistics of every batch
    are summed over all devices, layer after layer. So the grid is taken where it wastes little:
    `ceil(k / n) n <= 1.5 k`.

    Args:
      setting: `config.pool.spread`: `'grid'`, `'images'` or `'auto'`.
      mixes: `k`, of one candidate; of a single one the images are shared whatever the setting.
      devices: `n`.

    Returns:
      `'grid'` or `'images'`.

    Example:
      >>> [shared_out('auto', 11, devices) for devices in (2, 8, 16, 32)], shared_out('auto', 1, 2)
      (['grid', 'grid', 'grid', 'images'], 'images')
    """
    if mixes == 1 or devices == 1:
        return "images"
    rounds = -(-mixes // devices)
    wastes_little = 2 * rounds * devices <= 3 * mixes
    return setting if setting != "auto" else ("grid" if wastes_little else "images")


def build_pools(job: Job, workdir: Path, seed: int, searches: Mapping[str, Search]) -> None:
    """Builds the pools of one seed that are not done.

    Tickets are read when they are tried, so that memory does not grow with their number: there are the anchor, the
    candidate, and the mixes held at once. Reading a ResNet-18's takes 0.2 s, a tenth of it for its seal.

    Args:
      job: Network, validation and recalibration.
      workdir: Where the tickets lie and the pools go.
      seed: Whose tickets.
      searches: By name; pools go to `pools/<name>/`.

    Raises:
      ValueError: If a ticket is damaged, or a pool of `reference` started from another value.
    """
    levels = range(job.config.imp.levels)
    missing = told(lambda: _missing(workdir, seed, searches, levels))
    if not missing:
        return
    candidates = [_candidates(searches[name], anchor, levels) for name, anchor in missing]
    with Progress(f"seed {seed} pools", sum(map(len, candidates)), "candidate") as progress:
        for (name, anchor), tried in zip(missing, candidates, strict=True):
            _build(job, workdir, seed, name, searches[name], anchor, tried, progress)


def _build(
    job: Job,
    workdir: Path,
    seed: int,
    name: str,
    search: Search,
    anchor: int,
    candidates: list[int],
    progress: Progress,
) -> None:
    clock, method = time.monotonic(), search.pool
    given = (search.start[anchor],) if search.start else ()
    key = jax.random.fold_in(SeedKeys.of(seed).pool, anchor)
    state = method.init(load_ticket(job, paths.level(workdir, seed, anchor)), key, *given)
    state = train.replicate(state, job.mesh)  # as steps return it: one program serves the first step too
    start, trials = float(state.value), []
    for candidate in candidates:
        state, trial = method.step(state, load_ticket(job, paths.level(workdir, seed, candidate)).params)
        trials.append({"candidate": candidate, **_plain(trial)})
        progress.advance(note=f"{name}, anchor {anchor}")
        heed()
    ticket, directory = method.ticket(state), paths.pool(workdir, seed, name, anchor)
    kept, total = int(sparsity.kept(ticket.mask, job.prunable)), sparsity.total(ticket.mask, job.prunable)
    counts = {"method": name, "seed": seed, "anchor": anchor, "kept": kept, "total": total}
    forget(directory)
    store.save_ticket(paths.ticket(directory), ticket, job.prunable)
    store.write_json(paths.trace(directory), {**counts, "start": start, "trials": trials})
    # Of the pruned ticket: a search that prunes at its end knows only the unpruned mix's value.
    outcome = {"accepted": int(state.accepted), "value": float(evaluate(job.evaluate, ticket.params))}
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
      The ticket, in numpy arrays: `Variables`, and a mask of their form.

    Raises:
      ValueError: If it is damaged, or of another architecture.
    """
    return store.restore_ticket(paths.ticket(directory), job.like)


def _missing(workdir: Path, seed: int, searches: Mapping[str, Search], levels: range) -> list[tuple[str, int]]:
    for name, search in searches.items():
        _check_start(workdir, seed, name, search)
    return [
        (name, anchor) for name in searches for anchor in levels if not done(paths.pool(workdir, seed, name, anchor))
    ]


def _check_start(workdir: Path, seed: int, name: str, search: Search) -> None:
    """Refuses first values other than those that finished pools started from."""
    for anchor, value in enumerate(search.start):
        trace = paths.trace(paths.pool(workdir, seed, name, anchor))
        if trace.exists() and abs((before := store.read_json(trace)["start"]) - value) > _FLOAT32:
            raise ValueError(
                f"pool.start gives {value} for level {anchor}, but {trace.parent} started from {before:.6g}; "
                "give that, or delete the folder"
            )


def _in_order(job: Job, mesh: Mesh | None) -> train.Recalibrate:
    """Recalibrates on all training images as they are stored: nothing is drawn."""

    def plain(keys: jax.Array, images: jax.Array) -> jax.Array:
        del keys
        return job.preprocess(images)

    images, size = job.images, job.config.train.batch_size
    return train.recalibrator(job.apply, plain, job.train, images=images, batch_size=size, shuffle=False, mesh=mesh)


def _candidates(search: Search, anchor: int, levels: range) -> list[int]:
    return [] if search.candidates is None else pools.neighbors(anchor, levels, search.candidates)


def _plain(trial: pools.Trial) -> dict[str, Any]:
    return {
        "coefficient": round(float(trial.coefficient), 6),
        "value": float(trial.value),
        "accepted": bool(trial.accepted),
        "coefficients": [round(c, 6) for c in np.asarray(trial.coefficients).tolist()],
        "values": np.asarray(trial.values).tolist(),
    }
