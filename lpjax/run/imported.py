"""Tickets found elsewhere: checked, measured and saved as a run's own, in place of training."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

import jax
import numpy as np

from lpjax import sparsity, store
from lpjax.interop.destination import RECORD
from lpjax.interop.files import digest
from lpjax.run.job import PRUNABLE, Job
from lpjax.run.level import done, evaluate, forget
from lpjax.run.processes import told
from lpjax.run.progress import Progress
from lpjax.store import paths
from lpjax.types import PyTree, Ticket


def take_tickets(job: Job, workdir: Path, seed: int) -> None:
    """Takes the tickets of one seed from `imp.tickets_from`, leaving alone the levels that are here already.

    Args:
      job: Whose network they must fit, and whose validation split measures them.
      workdir: Where they go.
      seed: Whose.

    Raises:
      ValueError: If one is missing, damaged, of another network, or has other prunable weights.
    """
    missing = check_source(job, workdir, seed)
    with Progress(f"seed {seed} tickets", len(missing), "ticket") as progress:
        for level in missing:
            clock = time.monotonic()
            origin, directory = paths.level(_source(job), seed, level), paths.level(workdir, seed, level)
            ticket = _read(job, origin)
            forget(directory)
            store.save_ticket(paths.ticket(directory), ticket, job.prunable)
            summary = _summary(job, level, ticket, origin)
            store.write_json(paths.summary(directory), summary | {"seconds": round(time.monotonic() - clock, 3)})
            progress.advance()
            progress.line(
                f"level {level:2d}: kept {summary['kept']:,} ({summary['density']:.4f}), "
                f"{_accuracies(summary)}, taken from {origin}"
            )


def check_source(job: Job, workdir: Path, seed: int) -> list[int]:
    """Refuses a folder that lacks a level still missing here, whose tickets do not fit, or that others were taken from.

    Of the tickets still missing here it reads one. A folder that is gone since all were taken is none to refuse.

    Args:
      job: Whose network they must fit.
      workdir: Where they would go.
      seed: Whose.

    Returns:
      The levels missing.

    Raises:
      ValueError: In one line.
    """
    missing = told(lambda: _levels_to_take(job, workdir, seed))
    if missing:
        _read(job, paths.level(_source(job), seed, missing[0]))
    return missing


def _levels_to_take(job: Job, workdir: Path, seed: int) -> list[int]:
    here = {level: paths.level(workdir, seed, level) for level in range(job.config.imp.levels)}
    missing, source = [level for level, directory in here.items() if not done(directory)], _source(job)
    for level in range(job.config.imp.levels):
        _check_unchanged(paths.level(source, seed, level), paths.level(workdir, seed, level))
    if not missing:
        return []
    if not source.is_dir():
        raise ValueError(f"imp.tickets_from is {str(source)!r}, no folder; give one that holds seed_0/level_00/ticket")
    if source.resolve() == workdir.resolve():
        raise ValueError(f"imp.tickets_from is the work directory itself, {workdir}; choose another work directory")
    _check_dataset(job, source)
    for level in missing:
        if not store.exists(paths.ticket(paths.level(source, seed, level))):
            raise ValueError(
                f"{source} lacks seed {seed}, level {level}; there are {_there(source)}; change seeds or imp.levels"
            )
    return missing


def _source(job: Job) -> Path:
    return Path(job.config.imp.tickets_from).expanduser()


def _check_unchanged(origin: Path, directory: Path) -> None:
    before = store.read_json(paths.summary(directory)).get("source_seal") if paths.summary(directory).exists() else None
    now = _seal(origin)
    if before and now and before != now:
        raise ValueError(
            f"{origin} holds other bytes than the ticket taken before; tickets of two sources would mix; "
            "choose another work directory"
        )


def _seal(directory: Path) -> str | None:
    """Identifies the bytes of a ticket by the digest of all their digests."""
    seal = paths.ticket(directory) / "seal.json"
    return digest(seal) if seal.exists() else None


def _check_dataset(job: Job, source: Path) -> None:
    built_in = store.read_json(source / RECORD).get("dataset") if (source / RECORD).exists() else None
    if built_in and built_in != job.config.dataset.partition(":")[0]:
        raise ValueError(
            f"the tickets of {source} normalize as {built_in}; config.dataset is {job.config.dataset!r}; "
            f"set dataset to {built_in!r}"
        )


def _there(source: Path) -> str:
    tickets = sorted(d for d in source.glob("seed_*/level_*") if store.exists(paths.ticket(d)))
    counts = Counter(directory.parent.name.replace("_", " ") for directory in tickets)
    return ", ".join(f"{levels} levels of {seed}" for seed, levels in counts.items()) or "none"


def _read(job: Job, directory: Path) -> Ticket:
    try:
        ticket = store.restore_ticket(paths.ticket(directory), job.like)
    except store.DamagedTicket as error:
        raise ValueError(f"{str(error).partition(';')[0]}; make it anew where it comes from") from error
    except ValueError as error:
        raise ValueError(f"{error}; set model, width and dataset to what these tickets were trained with") from error
    _check_prunable(job, store.restore_mask(paths.ticket(directory)), directory)
    return jax.device_get(Ticket(sparsity.apply_mask(ticket.params, ticket.mask), ticket.mask))


def _check_prunable(job: Job, stored: PyTree, directory: Path) -> None:
    theirs = {name: np.ndim(leaf) > 0 for name, leaf in sparsity.named_leaves(stored).items()}
    ours = _accepted(job, job.prunable)
    name = next((name for name in ours if theirs[name] != ours[name]), None)
    if name is None:
        return
    fitting = (option for option, prunable in PRUNABLE.items() if theirs == _accepted(job, prunable))
    raise ValueError(
        f"{directory} {'prunes' if theirs[name] else 'never prunes'} {name!r}, unlike imp.prunable "
        f"{job.config.imp.prunable!r}; set imp.prunable to {next(fitting, 'path:REGEX')!r}"
    )


def _accepted(job: Job, prunable: sparsity.Predicate) -> dict[str, bool]:
    return {name: prunable(name, leaf) for name, leaf in sparsity.named_leaves(job.like.params).items()}


def _accuracies(summary: dict[str, Any]) -> str:
    stated = summary.get("imported_validation_accuracy")
    said = "" if stated is None else f", stated {stated:.4f}"
    return f"validation accuracy {summary['validation_accuracy']:.4f}{said}"


def _summary(job: Job, level: int, ticket: Ticket, origin: Path) -> dict[str, Any]:
    theirs = store.read_json(paths.summary(origin)) if paths.summary(origin).exists() else {}
    value = theirs.get("validation_accuracy")
    return {
        "level": level,
        "kept": int(sparsity.kept(ticket.mask, job.prunable)),
        "total": sparsity.total(ticket.mask, job.prunable),
        "density": sparsity.density(ticket.mask, job.prunable),
        "epoch": theirs.get("epoch"),
        "validation_accuracy": float(evaluate(job.evaluate, ticket.params)),
        **({} if value is None else {"imported_validation_accuracy": value}),
        "source": str(origin),
        "source_seal": _seal(origin),
    }
