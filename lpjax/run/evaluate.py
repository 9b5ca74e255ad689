"""Evaluation: the one place that reads the test split. Writes results.csv."""

from functools import partial
from pathlib import Path

import jax

from lpjax import metrics, store, train
from lpjax.pools import METHODS
from lpjax.run.job import Job
from lpjax.run.pool import load_ticket
from lpjax.run.progress import Progress
from lpjax.store import paths
from lpjax.types import Apply, Batch, Preprocess, Variables

METRICS = {
    "accuracy": metrics.accuracy,
    "nll": metrics.negative_log_likelihood,
    "ece": metrics.expected_calibration_error,
}


def evaluate_seed(job: Job, workdir: Path, seed: int) -> None:
    """Measures every ticket and pool of a seed that was not measured yet, on validation and on test.

    Args:
      job: Network and data.
      workdir: Where tickets and pools lie; each gets an `evaluation.json` beside it.
      seed: Whose.
    """
    missing = [
        (method, level, directory)
        for method, level, directory in _measured(job, workdir, seed, job.config.pool.methods)
        if not paths.evaluation(directory).exists()
    ]
    splits = {"validation": job.validation, "test": job.test}
    with Progress(f"seed {seed} evaluation", len(missing), "network") as progress:
        for method, level, directory in missing:
            variables = load_ticket(job, directory).variables
            values = {
                split: _measure(job.apply, job.preprocess, job.config.eval_batch_size, variables, batch)
                for split, batch in splits.items()
            }
            plain = {split: {name: float(v) for name, v in row.items()} for split, row in values.items()}
            store.write_json(paths.evaluation(directory), plain)
            progress.advance(note=f"{method}, level {level}")


def collect_results(job: Job, workdir: Path) -> None:
    """Gathers all evaluations there are, of this call and of earlier ones, into `results.csv`.

    Args:
      job: How many levels there are.
      workdir: Where they lie.
    """
    seeds = store.read_json(paths.config(workdir))["seeds"]
    store.write_results(
        paths.results(workdir),
        [
            result
            for seed in seeds
            for method, level, directory in _measured(job, workdir, seed, tuple(METHODS))
            if paths.evaluation(directory).exists()
            for result in _results(directory, seed, level, method)
        ],
    )


def _results(directory: Path, seed: int, level: int, method: str) -> list[store.Result]:
    summary = store.read_json(paths.summary(directory))
    kept, total = summary["kept"], summary["total"]
    return [
        store.Result(seed, level, kept, total, kept / total, method, split, metric, value)
        for split, values in store.read_json(paths.evaluation(directory)).items()
        for metric, value in values.items()
    ]


def _measured(job: Job, workdir: Path, seed: int, methods: tuple[str, ...]) -> list[tuple[str, int, Path]]:
    levels = range(job.config.imp.levels)
    tickets = [("ticket", level, paths.level(workdir, seed, level)) for level in levels]
    pools = [(method, level, paths.pool(workdir, seed, method, level)) for method in methods for level in levels]
    return tickets + pools


@partial(jax.jit, static_argnums=(0, 1, 2))
def _measure(
    apply: Apply, preprocess: Preprocess, batch_size: int, variables: Variables, batch: Batch
) -> dict[str, jax.Array]:
    logits = train.predict(apply, preprocess, variables, batch.images, batch_size)
    return {name: metric(logits, batch.labels) for name, metric in METRICS.items()}
