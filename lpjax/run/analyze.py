"""What lies between tickets: averaged pairs, linear paths and output ensembles, measured on test."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.tree_util import Partial

from lpjax import metrics, pools, sparsity, store, train
from lpjax.run.costs import layer_flops
from lpjax.run.evaluate import evaluate, measure, predict
from lpjax.run.imp import SeedKeys
from lpjax.run.job import Job
from lpjax.run.pool import load_ticket
from lpjax.run.processes import told
from lpjax.run.progress import Progress
from lpjax.store import paths
from lpjax.types import Apply, Batch, Preprocess, Ticket, Variables

Row = dict[str, Any]


def averaged_pairs(job: Job, workdir: Path, seed: int) -> list[Row]:
    """Averages every two tickets, pruned to the sparser one's count and recalibrated, and measures the outcome.

    Args:
      job: Network and data.
      workdir: Where the tickets lie; what was measured once is read back.
      seed: Whose.

    Returns:
      `first <= second` (levels), `density` of the second, `accuracy` on test; where both are one, of the ticket itself.

    References:
      Yin et al., Lottery Pools, AAAI 2023, Figure 1.
    """

    def measured() -> list[Row]:
        tickets, key = _tickets(job, workdir, seed), SeedKeys.of(seed).pool
        average = pools.pool(_no_value, job.recalibrate, coefficients=(0.5,), accept="always", prunable=job.prunable)
        rows = []
        with Progress(f"seed {seed} pairs", len(tickets) * (len(tickets) + 1) // 2, "pair") as progress:
            for second, ticket in enumerate(tickets):
                for first in range(second + 1):
                    state = average.init(ticket, jax.random.fold_in(key, second), 0.0)
                    if first < second:
                        state, _ = average.step(state, tickets[first].params)
                    accuracy = measure(predict(job, state.params, job.test), job.test.labels)["accuracy"]
                    density = sparsity.density(state.mask, job.prunable)
                    rows.append({"first": first, "second": second, "density": density, "accuracy": accuracy})
                    progress.advance(note=f"{first}, {second}")
        return rows

    return _once(paths.analysis(workdir, seed, "averaged_pairs"), measured)


def linear_paths(job: Job, workdir: Path, seed: int) -> list[Row]:
    """Measures loss and error on the straight lines between consecutive tickets, recalibrated and not.

    Args:
      job: Network and data.
      workdir: Where the tickets lie; what was measured once is read back.
      seed: Whose.

    Returns:
      `pair` (the denser ticket's level), `coefficient` of the sparser, `recalibrated`, `loss` in nats, `error`.

    References:
      Yin et al., Lottery Pools, AAAI 2023, Figure 2; Frankle et al., ICML 2020.
    """

    def measured() -> list[Row]:
        if job.config.stream.size:
            raise ValueError("linear paths need test images in memory, these are streamed; give stream.size 0")
        tickets, key = _tickets(job, workdir, seed), SeedKeys.of(seed).pool
        loss_and_error, rows = _loss_and_error(job), []
        with Progress(f"seed {seed} paths", 2 * (len(tickets) - 1), "path") as progress:
            for pair in range(len(tickets) - 1):
                start, end = tickets[pair].params, tickets[pair + 1].params
                for recalibrate in (None, job.recalibrate):
                    values = pools.linear_path(loss_and_error, start, end, recalibrate=recalibrate, key=key)
                    recalibrated = recalibrate is not None
                    columns = zip(pools.TENTHS, values["loss"].tolist(), values["error"].tolist(), strict=True)
                    rows += [
                        {"pair": pair, "coefficient": c, "recalibrated": recalibrated, "loss": loss, "error": error}
                        for c, loss, error in columns
                    ]
                    progress.advance(note=f"{pair} to {pair + 1}")
        return rows

    return _once(paths.analysis(workdir, seed, "linear_paths"), measured)


def evaluate_ensembles(job: Job, workdir: Path, seed: int, methods: Mapping[str, str], members: int) -> None:
    """Measures output ensembles of every ticket and its nearest neighbors, each with its own statistics.

    They are evaluated beside the pools, under `pools/<name>/`, though there is no ticket: nothing was merged.

    Args:
      job: Network and data.
      workdir: Where the tickets lie.
      seed: Whose.
      methods: What is averaged, `'logits'` or `'probabilities'`, by the name to measure it under.
      members: Networks an ensemble, the ticket included.

    References:
      Yin et al., Lottery Pools, AAAI 2023, Figure 7.
    """
    levels = range(job.levels)
    chosen = {anchor: [anchor, *pools.neighbors(anchor, levels)[: members - 1]] for anchor in levels}
    vote(job, workdir, seed, methods, chosen)


def vote(job: Job, workdir: Path, seed: int, methods: Mapping[str, str], chosen: Mapping[int, Sequence[int]]) -> None:
    """Measures output ensembles of chosen tickets.

    Args:
      job: Network and data.
      workdir: Where the tickets lie; what was measured of the same members is left alone.
      seed: Whose.
      methods: What is averaged, `'logits'` or `'probabilities'`, by the name to measure it under.
      chosen: The members' levels, by the level to measure them under.
    """
    votes = [
        (name, level, paths.pool(workdir, seed, name, level), members)
        for name in methods
        for level, members in chosen.items()
    ]
    lacking = told(lambda: [i for i, (*_, place, members) in enumerate(votes) if not _voted(place, members)])
    missing = [votes[i] for i in lacking]
    if not missing:
        return
    needed = sorted({member for *_, members in missing for member in members})
    tickets = {member: load_ticket(job, paths.level(workdir, seed, member)) for member in needed}
    layers = layer_flops(job)
    splits = {"validation": job.validation, "test": job.test}
    logits = {
        split: {member: np.asarray(predict(job, ticket.params, of)) for member, ticket in tickets.items()}
        for split, of in splits.items()
    }
    with Progress(f"seed {seed} ensembles", len(missing), "ensemble") as progress:
        for name, level, directory, members in missing:
            said = (_vote([of[member] for member in members], methods[name]) for of in logits.values())
            masks = [tickets[member].mask for member in members]
            counts = {
                "kept": int(sparsity.kept(masks[0], job.prunable)),
                "total": sparsity.total(masks[0], job.prunable),
            }
            costs = {
                "density": sparsity.density(masks[0], job.prunable),
                "inference_flops": sum(metrics.inference_flops(layers, mask.params) for mask in masks),
            }
            evaluation = evaluate(job, *said)
            store.write_json(
                paths.summary(directory), {"method": name, "anchor": level, "members": list(members), **counts, **costs}
            )
            store.write_json(paths.evaluation(directory), evaluation)
            progress.advance(note=f"{name}, level {level}")


def _voted(directory: Path, members: Sequence[int]) -> bool:
    there = paths.evaluation(directory).exists()
    return there and store.read_json(paths.summary(directory))["members"] == list(members)


@partial(jax.jit, static_argnums=1)
def _vote(logits: list[Any], votes: str) -> jax.Array:
    return pools.ensemble(jnp.stack(logits), votes)


def _tickets(job: Job, workdir: Path, seed: int) -> list[Ticket]:
    return [load_ticket(job, paths.level(workdir, seed, level)) for level in range(job.levels)]


def _no_value(variables: Variables) -> jax.Array:
    del variables
    return jnp.zeros((), float)


def _loss_and_error(job: Job) -> Partial:
    apply: Any = job.apply
    return Partial(_on_images(apply, job.preprocess, job.config.eval_batch_size, job.mesh), job.test)


@cache
def _on_images(
    apply: Apply, preprocess: Preprocess, batch_size: int, mesh: Mesh
) -> Callable[..., dict[str, jax.Array]]:
    """Gives one function a network, so that it is compiled once for all seeds."""

    def measured(test: Batch, variables: Variables) -> dict[str, jax.Array]:
        logits = train.predict(apply, preprocess, variables, test.images, batch_size, mesh)
        error = 1 - metrics.accuracy(logits, test.labels)
        return {"loss": metrics.negative_log_likelihood(logits, test.labels), "error": error}

    return measured


def _once(path: Path, measured: Callable[[], list[Row]]) -> list[Row]:
    if not told(path.exists):
        store.write_json(path, measured())
    rows: list[Row] = told(lambda: store.read_json(path))
    return rows
