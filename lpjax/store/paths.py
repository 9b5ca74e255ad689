"""Every file name of the work directory, each written once.

```
workdir/
  config.json  environment.json  command.txt  results.csv  corruptions.csv  .lock
  log/                           process_000.txt
  seed_0/
    rewind/
    level_00/                    ticket/  successor/  start/  progress/  metrics.jsonl  summary.json  evaluation.json
                                 events.out.tfevents.*, if asked for: metrics.jsonl for TensorBoard
    pools/<method>/level_03/     ticket/  trace.json  summary.json  evaluation.json
                                 (of either) corruptions.jsonl
    analysis/                    averaged_pairs.json  linear_paths.json
  report/                        report.html  figures/
```
Functions of the work directory give directories and the files at its top; functions of a directory, be it a level's or
a pool's, give the files inside it: `ticket(level(workdir, 0, 3))`.
"""

import re
from pathlib import Path
from typing import NamedTuple

_SEED = re.compile(r"seed_(\d+)")
_LEVEL = re.compile(r"level_(\d+)")


class Place(NamedTuple):
    """Which network of a work directory a directory is of.

    Attributes:
      workdir: The work directory.
      seed: The replicate.
      level: Number of prunings done; of a pool, its anchor's.
      pool: The method of the pool; empty for a level's own ticket.
    """

    workdir: Path
    seed: int
    level: int
    pool: str = ""


def config(workdir: Path) -> Path:
    """Name the resolved config."""
    return workdir / "config.json"


def environment(workdir: Path) -> Path:
    """Name the record of versions and devices."""
    return workdir / "environment.json"


def command(workdir: Path) -> Path:
    """Name the text of the last command that ran here."""
    return workdir / "command.txt"


def lock(workdir: Path) -> Path:
    """Name the file that a run holds locked as long as it lives."""
    return workdir / ".lock"


def log(workdir: Path, process: int) -> Path:
    """Name the lines that one process of a run has logged.

    Example:
      >>> log(Path('runs/demo'), process=1).as_posix()
      'runs/demo/log/process_001.txt'
    """
    return workdir / "log" / f"process_{process:03d}.txt"


def results(workdir: Path) -> Path:
    """Name the tidy table of everything measured."""
    return workdir / "results.csv"


def corrupted_results(workdir: Path) -> Path:
    """Name the tidy table of accuracies on corrupted test images."""
    return workdir / "corruptions.csv"


def report(workdir: Path) -> Path:
    """Name the page that shows the results."""
    return workdir / "report" / "report.html"


def figures(workdir: Path) -> Path:
    """Name the directory of the report's pictures."""
    return workdir / "report" / "figures"


def rewind(workdir: Path, seed: int) -> Path:
    """Name the Orbax directory of what every level of a seed restarts from."""
    return workdir / f"seed_{seed}" / "rewind"


def level(workdir: Path, seed: int, level: int) -> Path:
    """Name the directory of one level.

    Example:
      >>> level(Path('runs/demo'), seed=0, level=3).as_posix()
      'runs/demo/seed_0/level_03'
    """
    return workdir / f"seed_{seed}" / f"level_{level:02d}"


def pool(workdir: Path, seed: int, method: str, level: int) -> Path:
    """Name the directory of the pool that one method built around the ticket of one level.

    Example:
      >>> pool(Path('runs/demo'), seed=0, method='interpolation', level=3).as_posix()
      'runs/demo/seed_0/pools/interpolation/level_03'
    """
    return workdir / f"seed_{seed}" / "pools" / method / f"level_{level:02d}"


def parse(directory: Path) -> Place | None:
    """Find the seed, level and pool of a directory that `level` or `pool` named; None for any other.

    Example:
      >>> parse(Path('/runs/demo/seed_0/pools/interpolation/level_03'))
      Place(workdir=PosixPath('/runs/demo'), seed=0, level=3, pool='interpolation')
    """
    directory = directory.absolute()
    above = directory.parent
    method = ""
    if above.parent.name == "pools":
        method = above.name
        above = above.parent.parent
    of_level = _LEVEL.fullmatch(directory.name)
    of_seed = _SEED.fullmatch(above.name)
    if not of_level or not of_seed:
        return None
    return Place(above.parent, int(of_seed[1]), int(of_level[1]), method)


def analysis(workdir: Path, seed: int, name: str) -> Path:
    """Name the record of what was measured between the tickets of a seed."""
    return workdir / f"seed_{seed}" / "analysis" / f"{name}.json"


def ticket(directory: Path) -> Path:
    """Name the Orbax directory of the ticket of a level or pool."""
    return directory / "ticket"


def start(directory: Path) -> Path:
    """Name the Orbax directory of the weights a level starts from, where every level has its own."""
    return directory / "start"


def successor(directory: Path) -> Path:
    """Name the Orbax directory of what a level hands to the next."""
    return directory / "successor"


def progress(directory: Path) -> Path:
    """Name the Orbax directory of a level that is still training."""
    return directory / "progress"


def metrics(directory: Path) -> Path:
    """Name the record of a level's epochs, one JSON line each."""
    return directory / "metrics.jsonl"


def trace(directory: Path) -> Path:
    """Name the record of a pool's trials."""
    return directory / "trace.json"


def evaluation(directory: Path) -> Path:
    """Name what was measured of a level or pool, on every split."""
    return directory / "evaluation.json"


def corruptions(directory: Path) -> Path:
    """Name the accuracies of a level or pool on corrupted test images, one JSON line each."""
    return directory / "corruptions.jsonl"


def summary(directory: Path) -> Path:
    """Name the summary of a level or pool. It is written last: where it exists, the work is done."""
    return directory / "summary.json"


def measured(directory: Path) -> tuple[Path, ...]:
    """Name what was measured of a network, which is outdated once the network is another."""
    return evaluation(directory), corruptions(directory)
