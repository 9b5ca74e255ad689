"""Several tickets at once: averages of pairs, linear paths between them and output ensembles, measured on test."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.tree_util import Partial

from lpjax import metrics, pools, store, train
from lpjax.errors import UserError
from lpjax.run.evaluate import evaluation, measure, predict
from lpjax.run.saved import load_ticket
from lpjax.run.setup import SeedKeys, Setup
from lpjax.run.stage import Output, Outputs, Progress, Stage
from lpjax.store import paths
from lpjax.types import Apply, Batch, Preprocess, Ticket, Variables


def averaged_pairs_stage(workdir: Path, seed: int, levels: int) -> Stage:
    """Plan the average of every two tickets, pruned to the sparser one's count and recalibrated.

    The record has `first <= second` (levels), `density` of the second, `accuracy` on test; where both are one, of the
    ticket itself.

    References:
      Yin et al., Lottery Pools, AAAI 2023, Figure 1.
    """
    return _analysis_stage(workdir, seed, levels, "averaged_pairs", _averaged_pairs, units=levels)


def linear_paths_stage(workdir: Path, seed: int, levels: int) -> Stage:
    """Plan loss and error on the straight lines between consecutive tickets, recalibrated and not.

    The record has `pair` (the denser ticket's level), `coefficient` of the sparser, `recalibrated`, `loss` in nats,
    `error`.

    References:
      Yin et al., Lottery Pools, AAAI 2023, Figure 2; Frankle et al., ICML 2020.
    """
    stage = _analysis_stage(workdir, seed, levels, "linear_paths", _linear_paths, units=levels - 1)

    def check(setup: Setup) -> None:
        if setup.config.stream.size:
            raise UserError("linear paths need test images in memory, these are streamed; give stream.size 0")

    return stage._replace(check=check)


def ensembles_stage(
    workdir: Path, seed: int, methods: Mapping[str, str], members: Mapping[int, Sequence[int]]
) -> Stage:
    """Plan the output ensembles of chosen tickets, each with its own statistics.

    They are evaluated beside the pools, under `pools/<name>/`, though there is no ticket: nothing was merged.

    Args:
      workdir: Where the tickets lie.
      seed: Whose.
      methods: What is averaged, `'logits'` or `'probabilities'`, by the name to evaluate it under.
      members: The members' levels, by the level to evaluate them under.
    """
    outputs = {}
    for name in methods:
        for level in members:
            outputs[name, level] = paths.pool(workdir, seed, name, level)

    def is_complete(output: tuple[str, int], directory: Path) -> bool:
        if not paths.evaluation(directory).exists():
            return False
        return store.read_json(paths.summary(directory))["members"] == list(members[output[1]])

    return Stage(
        name=f"seed {seed} ensembles",
        unit="ensemble",
        outputs=outputs,
        is_complete=is_complete,
        build=partial(_ensembles, workdir=workdir, seed=seed, methods=methods, members=members),
    )


def nearest_members(levels: Sequence[int], count: int) -> dict[int, list[int]]:
    """List every level with its nearest neighbors: the members of its output ensemble.

    References:
      Yin et al., Lottery Pools, AAAI 2023, Figure 7.
    """
    return {anchor: [anchor, *pools.neighbors(anchor, levels)[: count - 1]] for anchor in levels}


def _analysis_stage(
    workdir: Path, seed: int, levels: int, name: str, analyze: Callable[..., Iterator[Any]], *, units: int
) -> Stage:
    """Plan an analysis of all tickets of a seed, whose rows become one record."""
    path = paths.analysis(workdir, seed, name)

    def build(setup: Setup, missing: Sequence[str], progress: Progress) -> Outputs:
        del missing
        tickets = [load_ticket(setup, paths.level(workdir, seed, level)) for level in range(levels)]
        rows = list(analyze(setup, tickets, SeedKeys.of(seed).pool, progress))
        yield Output(path.parent, records={path: rows})

    return Stage(
        name=f"seed {seed} {name.replace('_', ' ')}",
        unit="ticket",
        outputs={name: path.parent},
        is_complete=lambda name, directory: path.exists(),
        build=build,
        units=lambda setup, missing: units,
    )


def _averaged_pairs(
    setup: Setup, tickets: Sequence[Ticket], key: jax.Array, progress: Progress
) -> Iterator[dict[str, Any]]:
    average = pools.pool(
        _no_value,
        setup.measures.recalibrate,
        coefficients=(0.5,),
        accept="always",
        prunable=setup.network.prunable,
    )
    for second, ticket in enumerate(tickets):
        for first in range(second + 1):
            state = average.init(ticket, jax.random.fold_in(key, second), 0.0)
            if first < second:
                state, _ = average.step(state, tickets[first].params)
            accuracy = measure(predict(setup, state.params, setup.data.test), setup.data.test.labels)["accuracy"]
            density = setup.counts(state.mask)["density"]
            yield {"first": first, "second": second, "density": density, "accuracy": accuracy}
        progress.advance(note=f"level {second}")


def _linear_paths(
    setup: Setup, tickets: Sequence[Ticket], key: jax.Array, progress: Progress
) -> Iterator[dict[str, Any]]:
    apply: Any = setup.network.apply
    loss_and_error = Partial(
        _loss_and_error(apply, setup.data.preprocess, setup.config.eval_batch_size, setup.mesh), setup.data.test
    )
    for pair in range(len(tickets) - 1):
        for recalibrate in (None, setup.measures.recalibrate):
            values = pools.linear_path(
                loss_and_error, tickets[pair].params, tickets[pair + 1].params, recalibrate=recalibrate, key=key
            )
            losses = values["loss"].tolist()
            errors = values["error"].tolist()
            for coefficient, loss, error in zip(pools.TENTHS, losses, errors, strict=True):
                yield {
                    "pair": pair,
                    "coefficient": coefficient,
                    "recalibrated": recalibrate is not None,
                    "loss": loss,
                    "error": error,
                }
        progress.advance(note=f"{pair} to {pair + 1}")


def _ensembles(
    setup: Setup,
    missing: Sequence[tuple[str, int]],
    progress: Progress,
    *,
    workdir: Path,
    seed: int,
    methods: Mapping[str, str],
    members: Mapping[int, Sequence[int]],
) -> Outputs:
    needed = sorted({member for _, level in missing for member in members[level]})
    masks = {}
    validation = {}
    test = {}
    for member in needed:
        ticket = load_ticket(setup, paths.level(workdir, seed, member))
        masks[member] = ticket.mask
        validation[member] = np.asarray(predict(setup, ticket.params, setup.data.validation))
        test[member] = np.asarray(predict(setup, ticket.params, setup.data.test))
    layers = setup.layer_flops()
    for name, level in missing:
        chosen = members[level]
        record = evaluation(
            setup,
            _ensemble([validation[member] for member in chosen], methods[name]),
            _ensemble([test[member] for member in chosen], methods[name]),
        )
        directory = paths.pool(workdir, seed, name, level)
        summary = {
            "method": name,
            "anchor": level,
            "members": list(chosen),
            **setup.counts(masks[chosen[0]]),
            "inference_flops": sum(metrics.inference_flops(layers, masks[member].params) for member in chosen),
        }
        # The evaluation is what completes it; it must not outlive another list of members.
        yield Output(directory, records={paths.summary(directory): summary, paths.evaluation(directory): record})
        progress.advance(note=f"{name}, level {level}")


@partial(jax.jit, static_argnums=1)
def _ensemble(logits: list[Any], averaged: str) -> jax.Array:
    return pools.ensemble(jnp.stack(logits), averaged)


def _no_value(variables: Variables) -> jax.Array:
    del variables
    return jnp.zeros((), float)


@cache
def _loss_and_error(
    apply: Apply, preprocess: Preprocess, batch_size: int, mesh: Mesh
) -> Callable[..., dict[str, jax.Array]]:
    """Return one function for a network, so that it is compiled once for all seeds."""

    def measured(test: Batch, variables: Variables) -> dict[str, jax.Array]:
        logits = train.predict(apply, preprocess, variables, test.images, batch_size, mesh)
        error = 1 - metrics.accuracy(logits, test.labels)
        return {"loss": metrics.negative_log_likelihood(logits, test.labels), "error": error}

    return measured
