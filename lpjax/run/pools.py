"""Pools: one around every ticket, by every method."""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from lpjax import pools, store, train
from lpjax.errors import UserError
from lpjax.run.saved import ticket_reader
from lpjax.run.setup import SeedKeys, Setup
from lpjax.run.stage import Output, Outputs, Progress, Stage, is_done
from lpjax.run.training import validation_accuracy
from lpjax.store import paths

_FLOAT32 = 1e-6


class Search(NamedTuple):
    """A pool method as it is run around every anchor.

    Attributes:
      method: A name of `pools.METHODS`.
      candidates: How many of the nearest tickets are tried; 0 for all, None for `config.pool.candidates`.
      settings: Arguments of the method (`coefficients`, `prune`, ...) that replace those of the config.
      seeds: If there are any, the candidates are the tickets of these seeds at the anchor's own level, and not its
        neighbors.
    """

    method: str
    candidates: int | None = None
    settings: Mapping[str, Any] = {}
    seeds: Sequence[int] = ()


def config_searches(config: ConfigDict) -> dict[str, Search]:
    """List the searches that a config asks for, by name."""
    return {method: Search(method) for method in config.pool.methods}


def pools_stage(config: ConfigDict, workdir: Path, seed: int, searches: Mapping[str, Search]) -> Stage:
    """Plan the pools of one seed; they go to `pools/<name>/`."""
    outputs = {}
    for name in searches:
        for anchor in range(config.imp.levels):
            outputs[name, anchor] = paths.pool(workdir, seed, name, anchor)

    def is_complete(output: tuple[str, int], directory: Path) -> bool:
        name, anchor = output
        if searches[name].method == "reference":
            _check_start(config.pool.start[anchor], anchor, directory)
        return is_done(directory)

    def units(setup: Setup, missing: Sequence[tuple[str, int]]) -> int:
        return sum(len(_candidates(setup, searches[name], seed, anchor)) for name, anchor in missing)

    return Stage(
        name=f"seed {seed} pools",
        unit="candidate",
        outputs=outputs,
        is_complete=is_complete,
        build=partial(build_pools, workdir=workdir, seed=seed, searches=searches),
        units=units,
    )


def build_pools(
    setup: Setup,
    missing: Sequence[tuple[str, int]],
    progress: Progress,
    *,
    workdir: Path,
    seed: int,
    searches: Mapping[str, Search],
) -> Outputs:
    """Search the pools of one seed, one after another.

    Tickets are read when they are first tried, and held within a bound, so that memory does not grow with their number
    beyond it; the device holds the anchor, the candidate and the mixes.
    """
    read_ticket = ticket_reader(setup)
    methods: dict[str, pools.Pool] = {}
    ticket_values: dict[int, float] = {}
    for name, anchor in missing:
        start = time.monotonic()
        search = searches[name]
        if name not in methods:
            methods[name] = build_method(setup, search)
        method = methods[name]
        ticket = read_ticket(paths.level(workdir, seed, anchor))
        ticket_value = None  # the method measures it
        if search.method == "reference":
            ticket_value = setup.config.pool.start[anchor]
        elif not _selects(search):
            if anchor not in ticket_values:
                ticket_values[anchor] = validation_accuracy(setup, ticket.params)
            ticket_value = ticket_values[anchor]
        key = jax.random.fold_in(SeedKeys.of(seed).pool, anchor)
        state = method.init(ticket, key, ticket_value)
        del ticket  # the state has a copy
        state = train.replicate(state, setup.mesh)  # placed as steps return it, so that all use one program
        first_value = float(state.value)
        trials = []
        for of_seed, level in _candidates(setup, search, seed, anchor):
            state, trial = method.step(state, read_ticket(paths.level(workdir, of_seed, level)).params)
            other = {} if of_seed == seed else {"candidate_seed": of_seed}
            trials.append({"candidate": level, **other, **_plain(trial)})
            progress.advance(note=f"{name}, anchor {anchor}")
        ticket = method.ticket(state)
        counts = setup.counts(ticket.mask)
        record = {"method": name, "seed": seed, "anchor": anchor, "kept": counts["kept"], "total": counts["total"]}
        # Of the pruned ticket: a search that prunes at its end knows only the value of the unpruned mix.
        value = validation_accuracy(setup, ticket.params)
        outcome = {"accepted": int(state.accepted), "value": value}
        directory = paths.pool(workdir, seed, name, anchor)
        yield Output(
            directory,
            ticket=ticket,
            records={paths.trace(directory): {**record, "start": first_value, "trials": trials}},
            summary={**record, **outcome, "seconds": round(time.monotonic() - start, 3)},
            message=(
                f"{name} around level {anchor:2d}: accepted {outcome['accepted']} of {len(trials)}, "
                f"validation {first_value:.4f} -> {value:.4f}"
            ),
        )


def build_method(setup: Setup, search: Search) -> pools.Pool:
    """Bind a method to validation and recalibration, with the config's settings where the search has none."""
    config = setup.config.pool
    settings: dict[str, Any] = {"chunk": config.chunk, "prunable": setup.network.prunable}
    for name in pools.METHODS[search.method].settings:
        value = config[name]
        settings[name] = tuple(value) if name == "coefficients" else value
    settings |= search.settings
    mixes = len(settings.get("coefficients", (None,)))
    rounds = pools.coefficient_rounds(mixes, settings.get("coarse_stride", 1))
    shards_grid = shard_grid_or_images(config.spread, rounds, setup.mesh.size) == "grid"
    measures = setup.measures_per_device if shards_grid else setup.measures
    if settings.pop("rank_by", "recalibrated") == "batch_statistics" and mixes > 1:
        settings["rank"] = measures.rank
        measures = setup.measures  # of one mix alone
    recalibrate = measures.recalibrate
    if shards_grid:
        settings["map_fn"] = train.sharded_map(setup.mesh)
    if search.method == "reference":
        recalibrate = _recalibrate_in_order(setup, None if shards_grid else setup.mesh)
    evaluate = measures.evaluate if _selects(search) else None
    return pools.METHODS[search.method].build(evaluate, recalibrate, **settings)


def _selects(search: Search) -> bool:
    """Tell whether a search needs values on validation; one with settings of its own may."""
    return pools.METHODS[search.method].selects or bool(search.settings)


def shard_grid_or_images(setting: str, rounds: Sequence[int], devices: int) -> str:
    """Choose what is sharded over devices: the grid of mixes, or the images of one mix after another.

    With the grid nothing passes between devices, and `k` mixes take the time of `ceil(k / n)` where `k / n` would be
    ideal. With the images every batch is `n` times smaller, and BatchNorm statistics of every batch are summed over all
    devices, layer after layer. So the grid is taken where it wastes little: `sum(ceil(k / n) n) <= 1.5 sum(k)`.

    Args:
      setting: `config.pool.spread`: `'grid'`, `'images'` or `'auto'`.
      rounds: The numbers `k` of mixes that are tried together, for one candidate; of a single mix the images are
        sharded whatever the setting.
      devices: `n`.

    Example:
      >>> [shard_grid_or_images('auto', [11], devices) for devices in (2, 4, 8, 16, 32)]
      ['grid', 'grid', 'grid', 'grid', 'images']
      >>> [shard_grid_or_images('auto', [4, 2], devices) for devices in (2, 4, 8)]
      ['grid', 'grid', 'images']
    """
    mixes = sum(rounds)
    if mixes == 1 or devices == 1:
        return "images"
    if setting != "auto":
        return setting
    padded = 0
    for together in rounds:
        padded += -(-together // devices) * devices
    return "grid" if 2 * padded <= 3 * mixes else "images"


def _check_start(value: float, anchor: int, directory: Path) -> None:
    """Refuse another first value than the one that a finished pool started from."""
    trace = paths.trace(directory)
    if not trace.exists():
        return
    before = store.read_json(trace)["start"]
    if abs(before - value) > _FLOAT32:
        raise UserError(
            f"pool.start: got {value} for level {anchor}, but {directory} started from {before:.6g}; give that, or "
            "delete the folder"
        )


def _recalibrate_in_order(setup: Setup, mesh: Mesh | None) -> train.Recalibrate:
    """Recalibrate on all training images in the order they are stored: nothing is drawn."""

    def preprocess(keys: jax.Array, images: jax.Array) -> jax.Array:
        del keys
        return setup.data.preprocess(images)

    return train.recalibrator(
        setup.network.apply,
        preprocess,
        setup.data.recalibration_images,
        images=setup.data.size,
        batch_size=setup.config.train.batch_size,
        shuffle=False,
        mesh=mesh,
    )


def _candidates(setup: Setup, search: Search, seed: int, anchor: int) -> list[tuple[int, int]]:
    """List seed and level of every candidate, in the order in which they are tried."""
    if not pools.METHODS[search.method].candidates:
        return []
    if search.seeds:
        return [(other, anchor) for other in search.seeds if other != seed]
    count = setup.config.pool.candidates if search.candidates is None else search.candidates
    return [(seed, level) for level in pools.neighbors(anchor, range(setup.config.imp.levels), count)]


def _plain(trial: pools.Trial) -> dict[str, Any]:
    return {
        "coefficient": round(float(trial.coefficient), 6),
        "value": _number(trial.value),
        "accepted": bool(trial.accepted),
        "coefficients": [round(c, 6) for c in np.asarray(trial.coefficients).tolist()],
        "values": [_number(value) for value in np.asarray(trial.values)],
    }


def _number(value: Any) -> float | None:
    """Return what JSON can hold: None where nothing was measured."""
    return None if np.isnan(value) else float(value)
