"""Robustness: the accuracy of every network on corrupted test images. Writes a corruptions.jsonl beside each."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lpjax import data, store, train
from lpjax.run.evaluate import Network, measure, networks, predict
from lpjax.run.job import Job
from lpjax.run.level import done
from lpjax.run.pool import load_ticket
from lpjax.run.processes import told
from lpjax.run.progress import Progress
from lpjax.store import paths

MEASURES = {"none": (), "benchmark": data.BENCHMARK, "all": (*data.BENCHMARK, *data.EXTRA)}
_TOGETHER = 32  # networks in memory; corrupted images are made once for so many

Cell = tuple[str, int]


class Robustness(NamedTuple):
    """How a network does on corrupted images, on average.

    Attributes:
      seed: The replicate.
      level: Number of prunings done; of a pool, its anchor's.
      method: `'ticket'`, or the name of the pool.
      corruptions: How many corruptions were there to be averaged.
      cells: How many pairs of a corruption and a severity.
      accuracy: The unweighted mean over the cells, a fraction.
    """

    seed: int
    level: int
    method: str
    corruptions: int
    cells: int
    accuracy: float


def find_corruptions(job: Job) -> data.Corruptions:
    """Finds the corrupted images that `config.corruptions` speaks of; nothing large is read yet.

    Args:
      job: Whose test split is corrupted.

    Returns:
      Where they are read, or how they are made.

    Raises:
      ValueError: If published images are missing, broken or of another test set, or too many are asked for.
    """
    settings = job.config.corruptions
    return data.corruptions(
        job.config.dataset,
        job.test,
        directory=settings.dir,
        data_dir=job.config.data_dir,
        images=settings.images,
    )


def evaluate_corruptions(job: Job, workdir: Path, seeds: Sequence[int], methods: Sequence[str]) -> None:
    """Measures every ticket and pool there is on every corruption and severity that it was not measured on yet.

    Networks keep the statistics of clean training images. Corrupted images are read or made once for many networks.

    Args:
      job: Network and data; `config.corruptions` says what is measured.
      workdir: Where tickets and pools lie; each gets a `corruptions.jsonl` beside it, one line a cell: `name`,
        `severity`, `accuracy`, and the `label` of the images.
      seeds: Whose.
      methods: Which pools.

    Raises:
      ValueError: If published images are broken or of another test set, or if networks were measured on other images
        than would be read now.

    References:
      Yin et al., Lottery Pools, AAAI 2023, Figure 3c; Hendrycks and Dietterich, ICLR 2019.
    """
    config = job.config
    if not (names := MEASURES[config.corruptions.measure]):
        return
    source = find_corruptions(job)
    cells = [(name, severity) for name in names if name in source.names for severity in data.SEVERITIES]

    def lacking() -> dict[str, list[Cell]]:
        there = [network.directory for _, network in _finished(workdir, seeds, job.levels, methods)]
        return {str(directory): _missing(directory, cells, source.label) for directory in there}

    missing = {Path(directory): {tuple(cell) for cell in of} for directory, of in told(lacking).items() if of}
    if not missing:
        return
    with Progress("corruptions", sum(map(len, missing.values())), "measurement") as progress:
        if absent := [name for name in names if name not in source.names]:
            progress.line(f"{source.label} lacks {', '.join(absent)}")
        for first in range(0, len(missing), _TOGETHER):
            group = list(missing)[first : first + _TOGETHER]
            variables = {directory: load_ticket(job, directory).params for directory in group}
            for name, severity in cells:
                those = [directory for directory in group if (name, severity) in missing[directory]]
                if not those:
                    continue
                batch = train.replicate(source.read(name, severity), job.mesh)
                for directory in those:
                    logits = predict(job, variables[directory], batch)
                    accuracy = measure(logits, batch.labels)["accuracy"]
                    cell = {"name": name, "severity": severity, "accuracy": accuracy, "label": source.label}
                    store.append_jsonl(paths.corruptions(directory), cell)
                    progress.advance(note=f"{name} {severity}")


def gather_corruptions(workdir: Path, seeds: Sequence[int], levels: int, methods: Sequence[str]) -> list[store.Result]:
    """Gathers what was measured on corrupted images.

    Args:
      workdir: Where the networks lie.
      seeds: Whose.
      levels: How many tickets a seed has.
      methods: Pools, besides the tickets.

    Returns:
      One record a network, corruption and severity; the split is named after the images, like
      `'cifar10-C-like (made here)/gaussian_noise-3'`.
    """
    finished = _finished(workdir, seeds, levels, methods)
    return [result for seed, network in finished for result in _results(seed, network)]


def mean_over(results: Sequence[store.Result], names: Sequence[str]) -> list[Robustness]:
    """Averages every network's accuracy over corruptions and severities, all with the same weight.

    Args:
      results: From `gather_corruptions`.
      names: Which corruptions: `data.BENCHMARK` for the score of the benchmark, those and `data.EXTRA` for all. Those
        that were not measured are left out, so look at the counts.

    Returns:
      One record a network with any such measurement, in the order of `results`.

    Example:
      >>> clean = store.Result(0, 1, 80, 100, 0.8, 'ticket', 'fog-1', 'accuracy', 0.75)
      >>> mean_over([clean, clean._replace(split='fog-2', value=0.5), clean._replace(split='snow-1')], ('fog', 'frost'))
      [Robustness(seed=0, level=1, method='ticket', corruptions=1, cells=2, accuracy=0.625)]
    """
    cells: dict[tuple[int, int, str], dict[Cell, float]] = {}
    for result in results:
        name, _, severity = result.split.rpartition("/")[2].rpartition("-")
        if name in names and result.metric == "accuracy":
            cells.setdefault((result.seed, result.level, result.method), {})[name, int(severity)] = result.value
    return [
        Robustness(*network, len({name for name, _ in found}), len(found), sum(found.values()) / len(found))
        for network, found in cells.items()
    ]


def _finished(workdir: Path, seeds: Sequence[int], levels: int, methods: Sequence[str]) -> list[tuple[int, Network]]:
    return [
        (seed, network)
        for seed in seeds
        for network in networks(workdir, seed, levels, methods)
        if done(network.directory)
    ]


def _missing(directory: Path, cells: Sequence[Cell], label: str) -> list[Cell]:
    measured = store.read_jsonl(path := paths.corruptions(directory))
    if others := sorted({cell["label"] for cell in measured} - {label}):
        raise ValueError(
            f"{path} was measured on {others[0]}, now there is {label}; give the same corruptions.dir and data_dir, or "
            f"delete the corruptions.jsonl files and measure anew"
        )
    known = {(cell["name"], cell["severity"]) for cell in measured}
    return [cell for cell in cells if cell not in known]


def _results(seed: int, network: Network) -> list[store.Result]:
    summary: dict[str, Any] = store.read_json(paths.summary(network.directory))
    kept, total = summary["kept"], summary["total"]
    counts = (seed, network.level, kept, total, kept / total, network.method)
    return [
        store.Result(*counts, f"{cell['label']}/{cell['name']}-{cell['severity']}", "accuracy", cell["accuracy"])
        for cell in store.read_jsonl(paths.corruptions(network.directory))
    ]
