"""Evaluation: where the test split is read. Writes an evaluation.json beside every network, and gathers them."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from lpjax import data, metrics, store, train
from lpjax.run.job import Job
from lpjax.run.notice import heed
from lpjax.run.pool import load_ticket
from lpjax.run.processes import told
from lpjax.run.progress import Progress
from lpjax.store import paths
from lpjax.types import Apply, Batch, Preprocess, Variables

TICKET = "ticket"
METRICS = {
    "accuracy": metrics.accuracy,
    "nll": metrics.negative_log_likelihood,
    "ece": metrics.expected_calibration_error,
}


class Network(NamedTuple):
    """A network on disk.

    Attributes:
      method: `'ticket'`, or the name of the pool.
      level: Number of prunings done; of a pool, its anchor's.
      directory: The level's or the pool's.
    """

    method: str
    level: int
    directory: Path


def networks(workdir: Path, seed: int, levels: int, methods: Sequence[str]) -> list[Network]:
    """Lists tickets and pools of a seed, whether they are there yet or not.

    Args:
      workdir: Where they lie.
      seed: Whose.
      levels: How many tickets there are.
      methods: Pools, after the tickets.

    Returns:
      One record each.
    """
    tickets = [Network(TICKET, level, paths.level(workdir, seed, level)) for level in range(levels)]
    return tickets + [
        Network(method, level, paths.pool(workdir, seed, method, level))
        for method in methods
        for level in range(levels)
    ]


def predict(job: Job, variables: Variables, batch: Batch) -> jax.Array:
    """Computes the logits of a split.

    Args:
      job: Whose network.
      variables: Its parameters and statistics.
      batch: `N` images.

    Returns:
      `[N, classes]`, float32.
    """
    images, size = batch.images, job.config.eval_batch_size
    logits = partial(_predict, job.apply, job.preprocess, size, job.mesh, variables)
    if isinstance(images, data.LazyImages):  # the next are decoded while these are computed
        return jnp.concatenate([logits(images[i : i + size]) for i in range(0, images.shape[0], size)])
    return logits(images)


def measure(logits: jax.Array, labels: jax.Array) -> dict[str, float]:
    """Takes every metric of `METRICS`.

    Args:
      logits: `[N, classes]`.
      labels: `[N]`.

    Returns:
      Values by name.
    """
    return {name: float(value) for name, value in _measure(logits, labels).items()}


def evaluate_seed(job: Job, workdir: Path, seed: int, methods: Sequence[str]) -> None:
    """Measures every ticket and pool of a seed that is there and was not measured yet, on validation and on test.

    Args:
      job: Network and data.
      workdir: Where tickets and pools lie; each gets an `evaluation.json` beside it.
      seed: Whose.
      methods: Which pools.
    """
    every = networks(workdir, seed, job.levels, methods)

    def lacking() -> list[int]:
        there = [paths.summary(network.directory).exists() for network in every]
        return [i for i, network in enumerate(every) if there[i] and not _evaluated(network.directory)]

    missing = [every[i] for i in told(lacking)]
    with Progress(f"seed {seed} evaluation", len(missing), "network") as progress:
        for method, level, directory in missing:
            variables = load_ticket(job, directory).params
            logits = (predict(job, variables, split) for split in (job.validation, job.test))
            store.write_json(paths.evaluation(directory), evaluate(job, *logits))
            progress.advance(note=f"{method}, level {level}")
            heed()


def evaluate(job: Job, validation: jax.Array, test: jax.Array) -> dict[str, Any]:
    """Measures a classifier, be it one network or several together, by what it says of both splits.

    Args:
      job: Whose data.
      validation: Logits `[N, classes]` of the validation split.
      test: Logits of the test split.

    Returns:
      By split the metrics, and under `'right'` which test images it classifies rightly, packed in hexadecimal.
    """
    right = np.asarray(jnp.argmax(test, -1) == job.test.labels)
    return {
        "validation": measure(validation, job.validation.labels),
        "test": measure(test, job.test.labels),
        "right": np.packbits(right).tobytes().hex(),
    }


def load_right(directory: Path, images: int) -> np.ndarray:
    """Tells which test images a network classifies rightly.

    Args:
      directory: The level's or the pool's.
      images: Test images there are.

    Returns:
      `[images]`, bool.

    Raises:
      ValueError: If the network was not evaluated.
    """
    if not _evaluated(directory):
        raise ValueError(f"{directory} was not evaluated; run the same command again")
    packed = bytes.fromhex(store.read_json(paths.evaluation(directory))["right"])
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=images).astype(bool)


def gather(workdir: Path, seeds: Sequence[int], levels: int, methods: Sequence[str]) -> list[store.Result]:
    """Gathers all evaluations there are.

    Args:
      workdir: Where they lie.
      seeds: Whose.
      levels: How many tickets a seed has.
      methods: Pools, besides the tickets.

    Returns:
      One record a measurement.
    """
    return [
        result
        for seed in seeds
        for network in networks(workdir, seed, levels, methods)
        if paths.evaluation(network.directory).exists()
        for result in _results(network, seed)
    ]


def _evaluated(directory: Path) -> bool:
    path = paths.evaluation(directory)
    return path.exists() and "right" in store.read_json(path)


def _results(network: Network, seed: int) -> list[store.Result]:
    summary = store.read_json(paths.summary(network.directory))
    evaluation = store.read_json(paths.evaluation(network.directory))
    kept, total = summary["kept"], summary["total"]
    return [
        store.Result(seed, network.level, kept, total, kept / total, network.method, split, metric, value)
        for split in ("validation", "test")
        for metric, value in evaluation[split].items()
    ]


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _predict(
    apply: Apply, preprocess: Preprocess, batch_size: int, mesh: Mesh, variables: Variables, images: jax.Array
) -> jax.Array:
    return train.predict(apply, preprocess, variables, images, batch_size, mesh)


@jax.jit
def _measure(logits: jax.Array, labels: jax.Array) -> dict[str, jax.Array]:
    return {name: metric(logits, labels) for name, metric in METRICS.items()}
