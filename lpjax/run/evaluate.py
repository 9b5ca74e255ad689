"""Evaluation on validation and test. An `evaluation.json` lies beside every network; `results.csv` gathers them."""

import statistics
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from lpjax import data, metrics, sparsity, store, tickets, train
from lpjax.errors import UserError
from lpjax.run.hosts import broadcast_from_process0
from lpjax.run.load import predictor, smaller_network
from lpjax.run.saved import SavedNetwork, load_ticket, networks
from lpjax.run.setup import Setup, network_flops
from lpjax.run.stage import Output, Outputs, Progress, Stage
from lpjax.store import paths
from lpjax.types import Apply, Batch, Preprocess, PyTree, Ticket, Variables

METRICS = {
    "accuracy": metrics.accuracy,
    "nll": metrics.negative_log_likelihood,
    "ece": metrics.expected_calibration_error,
}
_TIMED_CALLS = 20


def evaluation_stage(workdir: Path, seed: int, levels: Sequence[int], methods: Sequence[str]) -> Stage:
    """Plan the evaluation of every ticket and pool of a seed, on validation and on test."""
    return Stage(
        name=f"seed {seed} evaluation",
        unit="network",
        outputs={network: network.directory for network in networks(workdir, seed, levels, methods)},
        is_complete=lambda network, directory: is_evaluated(directory),
        build=evaluate_networks,
    )


def evaluate_networks(setup: Setup, missing: Sequence[SavedNetwork], progress: Progress) -> Outputs:
    """Evaluate those of the networks that have been written."""
    there = broadcast_from_process0(lambda: [paths.summary(network.directory).exists() for network in missing])
    graph = setup.network.graph
    if graph is not None:
        flops = network_flops(setup.network.apply, setup.network.like, setup.data.shape)
    for network, exists in zip(missing, there, strict=True):
        if exists:
            ticket = load_ticket(setup, network.directory)
            validation = predict(setup, ticket.params, setup.data.validation)
            test = predict(setup, ticket.params, setup.data.test)
            record = evaluation(setup, validation, test)
            if graph is not None:
                record["size"] = sizes(ticket, graph, flops)
                if setup.config.time_images:
                    record["size"] |= times(setup, ticket)
            yield Output(network.directory, records={paths.evaluation(network.directory): record})
        progress.advance(note=f"{network.method}, level {network.level}")


def predict(setup: Setup, variables: Variables, batch: Batch) -> jax.Array:
    """Compute the logits `[N, classes]` (float32) of a split."""
    images = batch.images
    size = setup.config.eval_batch_size
    logits = partial(_predict, setup.network.apply, setup.data.preprocess, size, setup.mesh, variables)
    if isinstance(images, data.LazyImages):  # the next are decoded while these are computed
        return jnp.concatenate([logits(images[i : i + size]) for i in range(0, images.shape[0], size)])
    return logits(images)


def measure(logits: jax.Array, labels: jax.Array) -> dict[str, float]:
    """Compute every metric of `METRICS` from logits `[N, classes]` and labels `[N]`."""
    return {name: float(value) for name, value in _measure(logits, labels).items()}


def evaluation(setup: Setup, validation: jax.Array, test: jax.Array) -> dict[str, Any]:
    """Describe a classifier, be it one network or an ensemble, by its logits of both splits.

    Returns:
      By split the metrics, and under `'right'` which test images it classifies correctly, packed in hexadecimal.
    """
    right = np.asarray(jnp.argmax(test, -1) == setup.data.test.labels)
    return {
        "validation": measure(validation, setup.data.validation.labels),
        "test": measure(test, setup.data.test.labels),
        "right": np.packbits(right).tobytes().hex(),
    }


def sizes(ticket: Ticket, graph: sparsity.ChannelGraph, flops: PyTree) -> dict[str, float]:
    """Measure the dense network of a ticket, and what `lpjax.shrink` leaves of it.

    Args:
      ticket: With variables for parameters.
      graph: The network's channel graph.
      flops: From `network_flops`; those of a layer are proportional to its weights.

    Returns:
      Parameters, FLOPs per image, and bytes with the statistics, of the dense and of the shrunk network.
    """
    dense = ticket.params
    measured = {}
    for prefix, variables in (("", dense), ("shrunk_", tickets.shrink(ticket, graph).ticket.params)):
        per_leaf = jax.tree.map(
            lambda flop, old, new: flop * new.size / old.size, flops, dense.params, variables.params
        )
        measured[f"{prefix}parameters"] = sum(leaf.size for leaf in jax.tree.leaves(variables.params))
        measured[f"{prefix}flops"] = sum(jax.tree.leaves(per_leaf))
        measured[f"{prefix}bytes"] = sum(leaf.nbytes for leaf in jax.tree.leaves(variables))
    return measured


def times(setup: Setup, ticket: Ticket) -> dict[str, float]:
    """Time a batch of `time_images` test images, of the dense network of a ticket and of what `lpjax.shrink` leaves.

    Returns:
      Median milliseconds of calls in turn, on the first device.
    """
    images = jnp.asarray(setup.data.test.images[: setup.config.time_images])
    small, smaller = smaller_network(ticket, setup)
    calls = {
        "milliseconds": partial(predictor(setup, setup.network.apply, ticket), images),
        "shrunk_milliseconds": partial(predictor(setup, smaller, small), images),
    }
    seconds: dict[str, list[float]] = {}
    for name, call in calls.items():
        jax.block_until_ready(call())
        seconds[name] = []
    for _ in range(_TIMED_CALLS):
        for name, call in calls.items():
            start = time.perf_counter()
            jax.block_until_ready(call())
            seconds[name].append(time.perf_counter() - start)
    return {name: 1000 * statistics.median(values) for name, values in seconds.items()}


def load_right(directory: Path, images: int) -> np.ndarray:
    """Return which of so many test images a network classifies correctly, bool `[images]`.

    Raises:
      UserError: If the network was not evaluated.
    """
    if not is_evaluated(directory):
        raise UserError(f"{directory} was not evaluated; run the same command again")
    packed = bytes.fromhex(store.read_json(paths.evaluation(directory))["right"])
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=images).astype(bool)


def gather(workdir: Path, seeds: Sequence[int], levels: Sequence[int], methods: Sequence[str]) -> list[store.Result]:
    """Gather all evaluations that have been written, one record per measurement."""
    results = []
    for seed in seeds:
        for network in networks(workdir, seed, levels, methods):
            if paths.evaluation(network.directory).exists():
                results += _results(network, seed)
    return results


def result_fields(network: SavedNetwork, seed: int) -> tuple[int, int, int, int, float, str]:
    """Return the first fields of a network's results: seed, level, kept, total, density, method."""
    summary = store.read_json(paths.summary(network.directory))
    kept = summary["kept"]
    total = summary["total"]
    return seed, network.level, kept, total, kept / total, network.method


def is_evaluated(directory: Path) -> bool:
    """Tell whether a network was evaluated, test image by test image; older versions kept no such record."""
    path = paths.evaluation(directory)
    return path.exists() and "right" in store.read_json(path)


def _results(network: SavedNetwork, seed: int) -> list[store.Result]:
    fields = result_fields(network, seed)
    record = store.read_json(paths.evaluation(network.directory))
    results = []
    for split in ("validation", "test", "size"):
        # Earlier versions measured no size, and it is not known of your own networks.
        for metric, value in record.get(split, {}).items():
            results.append(store.Result(*fields, split, metric, value))
    return results


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _predict(
    apply: Apply, preprocess: Preprocess, batch_size: int, mesh: Mesh, variables: Variables, images: jax.Array
) -> jax.Array:
    return train.predict(apply, preprocess, variables, images, batch_size, mesh)


@jax.jit
def _measure(logits: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
    return {name: metric(logits, labels) for name, metric in METRICS.items()}
