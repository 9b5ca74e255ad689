"""Stages: what a plan consists of, and the one function that runs them.

A builder computes and yields `Output` records. Everything else is written here once: which outputs are missing, the
agreement of all hosts about that, progress, preemption, the removal of what was measured of a replaced ticket, and
the order of writing in which a killed run loses nothing.
"""

import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import jax
from tqdm import tqdm

from lpjax import store
from lpjax.run.hosts import broadcast_from_process0
from lpjax.run.preemption import check_preemption
from lpjax.run.setup import Setup
from lpjax.store import paths
from lpjax.types import PyTree, Ticket

logger = logging.getLogger("lpjax")


class Output(NamedTuple):
    """What a builder has computed for one directory of the work directory.

    Attributes:
      directory: Of a level, of a pool, or of the analyses of a seed.
      checkpoints: Further trees of arrays, by their directory; written first.
      ticket: The network, if there is one; what was evaluated of an older one is removed before it is written.
      records: JSON records by file.
      lines: One JSON line each, by the file that it is appended to.
      summary: Written after everything else.
      message: A line for people.
    """

    directory: Path
    checkpoints: Mapping[Path, Mapping[str, PyTree]] = {}
    ticket: Ticket | None = None
    records: Mapping[Path, Any] = {}
    lines: Mapping[Path, Any] = {}
    summary: Mapping[str, Any] | None = None
    message: str = ""


Outputs = Generator[Output, None, None]
"""What a builder yields: it is closed when the stage stops."""


class Stage(NamedTuple):
    """One step of a plan.

    Attributes:
      name: For people, such as `'seed 0 tickets'`.
      unit: What progress counts.
      outputs: The directory of every output, by the output's name; the names of those that are missing go to `build`.
      is_complete: `(name, directory) -> bool`: whether an output is whole already; called on process 0.
      build: `(setup, missing, progress) -> outputs`, computed one after another. It calls `progress.advance` after
        every unit.
      units: `(setup, missing) -> int`, the units of progress that missing outputs take; by default one each.
      trains: Whether an output may have a checkpoint of unfinished training.
      results_first: Whether `results.csv` is written before the stage starts too, since it takes long.
      check: Raises `UserError` before anything runs, for what the config alone does not show.
    """

    name: str
    unit: str
    outputs: Mapping[Any, Path]
    is_complete: Callable[[Any, Path], bool]
    build: Callable[[Setup, list[Any], "Progress"], Outputs]
    units: Callable[[Setup, Sequence[Any]], int] = lambda setup, missing: len(missing)
    trains: bool = False
    results_first: bool = False
    check: Callable[[Setup], None] = lambda setup: None

    def missing(self) -> list[Any]:
        """List the outputs that are not complete; process 0 looks at the disk and tells the others."""
        names = list(self.outputs)

        def look() -> list[int]:
            return [i for i, name in enumerate(names) if not self.is_complete(name, self.outputs[name])]

        return [names[i] for i in broadcast_from_process0(look)]


def run_stage(setup: Setup, stage: Stage) -> None:
    """Build what a stage is missing, and write every output as soon as it is computed.

    Raises:
      Preempted: If the machine is taken away; what was written is whole.
    """
    missing = stage.missing()
    for name, directory in stage.outputs.items():
        if stage.trains and name not in missing:
            store.remove(paths.progress(directory))
    if not missing:
        return
    with (
        Progress(stage.name, stage.units(setup, missing), stage.unit) as progress,
        closing(stage.build(setup, missing, progress)) as outputs,
    ):
        for output in outputs:
            commit(setup, output)
            if output.message:
                progress.line(output.message)
            check_preemption()


def commit(setup: Setup, output: Output) -> None:
    """Write an output so that a kill at any moment leaves the old or the new, and the summary comes last."""
    for directory, items in output.checkpoints.items():
        store.save(directory, **items)
    if output.ticket is not None:
        for outdated in paths.measured(output.directory):
            with store.wrap_os_errors(outdated):
                outdated.unlink(missing_ok=True)
        store.save_ticket(paths.ticket(output.directory), output.ticket, setup.network.prunable)
    for path, record in output.records.items():
        store.write_json(path, record)
    for path, line in output.lines.items():
        store.append_jsonl(path, line)
    if output.summary is not None:
        store.write_json(paths.summary(output.directory), output.summary)
        store.remove(paths.progress(output.directory))


def is_done(directory: Path) -> bool:
    """Tell whether a level or pool has its summary, which is written last, and its ticket."""
    return paths.summary(directory).exists() and store.exists(paths.ticket(directory))


@contextmanager
def log_to(workdir: Path) -> Iterator[None]:
    """Print the lines of a run, and append them to this process's file under `workdir/log/`.

    A disk that refuses costs the lines of the file and nothing else.
    """
    process = jax.process_index()
    handlers: list[logging.Handler] = [_Console()]
    with suppress(OSError):
        path = paths.log(workdir, process)
        path.parent.mkdir(exist_ok=True)
        file = _File(path, encoding="utf-8")
        file.setFormatter(logging.Formatter(f"%(asctime)s {socket.gethostname()} {os.getpid()} %(message)s"))
        handlers.append(file)
    handlers[0].setLevel(logging.INFO)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    for handler in handlers:
        logger.addHandler(handler)
    logger.debug("process %d of %d starts", process, jax.process_count())
    try:
        yield
    except BaseException as error:
        logger.debug("stops: %s", " ".join(str(error).split()) or type(error).__name__)
        raise
    else:
        logger.debug("finishes")
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()


class _File(logging.FileHandler):
    """Appends lines to a file; a full disk is reported elsewhere, by what matters more."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (the name of logging)
        pass

    def close(self) -> None:
        with suppress(OSError):  # of lines that are still in the buffer
            super().close()


class _Console(logging.Handler):
    """Writes lines to standard output without breaking bars."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record))
        sys.stdout.flush()


class Progress:
    """Progress of one stage: a bar on a terminal, and lines in the log."""

    def __init__(self, stage: str, total: int, unit: str) -> None:
        """Start with nothing done of `total` units; process 0 has the bar."""
        process = jax.process_index()
        silent = process > 0 or not sys.stderr.isatty()
        self.bar = tqdm(total=total, desc=stage, unit=unit, disable=silent, dynamic_ncols=True)
        self.stage = stage
        self.prefix = f"process {process}: " if process else ""
        self.start = time.monotonic()
        logger.debug("%s: %d of unit %s to do", stage, total, unit)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()

    def advance(self, units: int = 1, note: str = "") -> None:
        """Count units done, and stop here if the run was asked to."""
        if note:
            self.bar.set_postfix_str(note, refresh=False)
        self.bar.update(units)
        check_preemption()

    def skip(self, units: int) -> None:
        """Count units that an earlier run has done, which say nothing about the pace."""
        if not self.bar.disable:
            self.bar.initial += units
            self.bar.update(units)

    def line(self, text: str) -> None:
        """Log a line, with the seconds since the stage began."""
        logger.info("%s[%s %6.1fs] %s", self.prefix, self.stage, time.monotonic() - self.start, text)
