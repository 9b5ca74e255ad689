"""Robustness: the accuracy of every network on corrupted test images, in a `corruptions.jsonl` beside each."""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from lpjax import data, store, train
from lpjax.errors import UserError
from lpjax.run.evaluate import measure, predict, result_fields
from lpjax.run.hosts import broadcast_from_process0
from lpjax.run.saved import SavedNetwork, load_ticket, networks
from lpjax.run.settings import CORRUPTIONS
from lpjax.run.setup import Setup
from lpjax.run.stage import Output, Outputs, Progress, Stage, is_done
from lpjax.store import paths

_TOGETHER = 32  # networks in memory; corrupted images are made once for so many

Cell = tuple[str, int]
"""A corruption and its severity."""


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


def corruptions_stage(
    config: ConfigDict, workdir: Path, seeds: Sequence[int], levels: Sequence[int], methods: Sequence[str]
) -> Stage:
    """Plan the evaluation of every ticket and pool on every corruption and severity of `config.corruptions`.

    References:
      Yin et al., Lottery Pools, AAAI 2023, Figure 3c; Hendrycks and Dietterich, ICLR 2019.
    """
    outputs = {}
    for seed in seeds:
        for network in networks(workdir, seed, levels, methods):
            outputs[seed, network] = network.directory
    cells = {(name, severity) for name in CORRUPTIONS[config.corruptions.measure] for severity in data.SEVERITIES}

    def is_complete(output: tuple[int, SavedNetwork], directory: Path) -> bool:
        del output
        return cells <= _measured(directory)

    def check(setup: Setup) -> None:
        source = find_corruptions(setup)  # refused now rather than after training
        broadcast_from_process0(lambda: _check_labels(list(outputs.values()), source.label))

    return Stage(
        name="corruptions",
        unit="network",
        outputs=outputs,
        is_complete=is_complete,
        build=evaluate_corruptions,
        results_first=True,
        check=check,
    )


def find_corruptions(setup: Setup) -> data.Corruptions:
    """Find the corrupted images that `config.corruptions` names; nothing large is read yet.

    Raises:
      UserError: If published images are missing, broken or of another test set, or too many are asked for.
    """
    settings = setup.config.corruptions
    return data.corruptions(
        setup.config.dataset,
        setup.data.test,
        directory=settings.dir,
        data_dir=setup.config.data_dir,
        images=settings.images,
    )


def evaluate_corruptions(setup: Setup, missing: Sequence[tuple[int, SavedNetwork]], progress: Progress) -> Outputs:
    """Evaluate networks on what they were not evaluated on yet: one line per corruption and severity.

    Networks keep the statistics of clean training images. Corrupted images are read or made once for many networks.
    """
    names = CORRUPTIONS[setup.config.corruptions.measure]
    source = find_corruptions(setup)
    absent = [name for name in names if name not in source.names]
    if absent:
        progress.line(f"{source.label} lacks {', '.join(absent)}")
    directories = [network.directory for _, network in missing]
    cells = [(name, severity) for name in names if name in source.names for severity in data.SEVERITIES]
    for first in range(0, len(directories), _TOGETHER):
        group = directories[first : first + _TOGETHER]
        yield from _evaluate_group(setup, source, group, cells)
        progress.advance(len(group))


def _evaluate_group(
    setup: Setup, source: data.Corruptions, directories: Sequence[Path], cells: Sequence[Cell]
) -> Iterator[Output]:
    """Evaluate networks that are held in memory together, corruption by corruption."""
    lacking = broadcast_from_process0(lambda: [_lacking(directory, cells) for directory in directories])
    variables = {}
    todo = []
    for directory, indices in zip(directories, lacking, strict=True):
        if indices:
            variables[directory] = load_ticket(setup, directory).params
            todo += [(index, directory) for index in indices]
    todo.sort(key=lambda entry: entry[0])
    for index, entries in itertools.groupby(todo, key=lambda entry: entry[0]):
        name, severity = cells[index]
        batch = train.replicate(source.read(name, severity), setup.mesh)
        for _, directory in entries:
            accuracy = measure(predict(setup, variables[directory], batch), batch.labels)["accuracy"]
            line = {"name": name, "severity": severity, "accuracy": accuracy, "label": source.label}
            yield Output(directory, lines={paths.corruptions(directory): line})


def gather_corruptions(
    workdir: Path, seeds: Sequence[int], levels: Sequence[int], methods: Sequence[str]
) -> list[store.Result]:
    """Gather what was measured on corrupted images, one record per network, corruption and severity.

    The split is named after the images, like `'cifar10-C-like (made here)/gaussian_noise-3'`.
    """
    results = []
    for seed in seeds:
        for network in networks(workdir, seed, levels, methods):
            if not is_done(network.directory):
                continue
            fields = result_fields(network, seed)
            for line in store.read_jsonl(paths.corruptions(network.directory)):
                split = f"{line['label']}/{line['name']}-{line['severity']}"
                results.append(store.Result(*fields, split, "accuracy", line["accuracy"]))
    return results


def mean_over(results: Sequence[store.Result], names: Sequence[str]) -> list[Robustness]:
    """Average every network's accuracy over corruptions and severities, all with the same weight.

    Args:
      results: From `gather_corruptions`.
      names: Which corruptions: `data.BENCHMARK` for the score of the benchmark, those and `data.EXTRA` for all. Those
        that were not measured are left out, so look at the counts.

    Returns:
      One record per network with any such measurement, in the order of `results`.

    Example:
      >>> clean = store.Result(0, 1, 80, 100, 0.8, 'ticket', 'fog-1', 'accuracy', 0.75)
      >>> mean_over([clean, clean._replace(split='fog-2', value=0.5), clean._replace(split='snow-1')], ('fog', 'frost'))
      [Robustness(seed=0, level=1, method='ticket', corruptions=1, cells=2, accuracy=0.625)]
    """
    cells: dict[tuple[int, int, str], dict[Cell, float]] = {}
    for result in results:
        name, _, severity = result.split.rpartition("/")[2].rpartition("-")
        if name in names and result.metric == "accuracy":
            network = (result.seed, result.level, result.method)
            cells.setdefault(network, {})[name, int(severity)] = result.value
    found = []
    for network, values in cells.items():
        corruptions = {name for name, _ in values}
        found.append(Robustness(*network, len(corruptions), len(values), sum(values.values()) / len(values)))
    return found


def _measured(directory: Path) -> set[Cell]:
    return {(line["name"], line["severity"]) for line in store.read_jsonl(paths.corruptions(directory))}


def _lacking(directory: Path, cells: Sequence[Cell]) -> list[int]:
    """List which cells a network was not measured on; none if there is no network."""
    if not is_done(directory):
        return []
    measured = _measured(directory)
    return [index for index, cell in enumerate(cells) if cell not in measured]


def _check_labels(directories: Sequence[Path], label: str) -> None:
    """Refuse networks that were measured on other images than would be read now."""
    for directory in directories:
        path = paths.corruptions(directory)
        others = {line["label"] for line in store.read_jsonl(path)} - {label}
        if others:
            raise UserError(
                f"{path} was measured on {sorted(others)[0]}, now there is {label}; give the same corruptions.dir and "
                "data_dir, or delete the corruptions.jsonl files and measure anew"
            )
