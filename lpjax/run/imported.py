"""Tickets found elsewhere: checked, evaluated and saved as a run's own, in place of training."""

import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from lpjax import sparsity, store
from lpjax.cache import expand_home
from lpjax.errors import UserError
from lpjax.interop.destination import RECORD
from lpjax.interop.files import digest
from lpjax.run.hosts import broadcast_from_process0
from lpjax.run.settings import PRUNABLE
from lpjax.run.setup import Setup
from lpjax.run.stage import Output, Outputs, Progress, Stage, is_done
from lpjax.run.training import validation_accuracy
from lpjax.store import paths
from lpjax.types import PyTree, Ticket


def imported_stage(config: ConfigDict, workdir: Path, seed: int) -> Stage:
    """Plan the tickets of one seed, taken from `imp.tickets_from`."""
    source = expand_home(config.imp.tickets_from)
    stage = Stage(
        name=f"seed {seed} tickets",
        unit="ticket",
        outputs={level: paths.level(workdir, seed, level) for level in range(config.imp.levels)},
        is_complete=lambda level, directory: is_done(directory),
        build=partial(take_tickets, workdir=workdir, seed=seed, source=source),
    )
    return stage._replace(check=lambda setup: check_source(setup, stage, source, workdir, seed))


def take_tickets(
    setup: Setup, missing: Sequence[int], progress: Progress, *, workdir: Path, seed: int, source: Path
) -> Outputs:
    """Read, check and evaluate tickets, one after another."""
    for level in missing:
        start = time.monotonic()
        origin = paths.level(source, seed, level)
        ticket = _read(setup, origin)
        summary = _summary(setup, level, ticket, origin)
        stated = summary.get("imported_validation_accuracy")
        accuracy = f"validation accuracy {summary['validation_accuracy']:.4f}"
        if stated is not None:
            accuracy += f", stated {stated:.4f}"
        yield Output(
            paths.level(workdir, seed, level),
            ticket=ticket,
            summary=summary | {"seconds": round(time.monotonic() - start, 3)},
            message=(
                f"level {level:2d}: kept {summary['kept']:,} ({summary['density']:.4f}), {accuracy}, "
                f"taken from {origin}"
            ),
        )
        progress.advance()


def check_source(setup: Setup, stage: Stage, source: Path, workdir: Path, seed: int) -> None:
    """Refuse a folder that lacks a level still missing here, whose tickets do not fit, or that has changed.

    Of the tickets still missing here it reads one. A folder that is gone since all were taken is not refused.

    Raises:
      UserError: In one line.
    """
    missing = stage.missing()
    broadcast_from_process0(lambda: _check_folder(setup, missing, source, workdir, seed))
    if missing:
        _read(setup, paths.level(source, seed, missing[0]))


def _check_folder(setup: Setup, missing: Sequence[Any], source: Path, workdir: Path, seed: int) -> None:
    for level in range(setup.config.imp.levels):
        _check_unchanged(paths.level(source, seed, level), paths.level(workdir, seed, level))
    if not missing:
        return
    if not source.is_dir():
        raise UserError(f"imp.tickets_from: got {str(source)!r}, expected a folder that holds seed_0/level_00/ticket")
    if source.resolve() == workdir.resolve():
        raise UserError(f"imp.tickets_from: got the work directory itself, {workdir}; choose another work directory")
    normalization = store.read_json_or_empty(source / RECORD).get("dataset")
    if normalization and normalization != setup.config.dataset.partition(":")[0]:
        raise UserError(
            f"dataset: got {setup.config.dataset!r}, expected {normalization!r}: the tickets of {source} normalize "
            "images as it does"
        )
    for level in missing:
        if not store.exists(paths.ticket(paths.level(source, seed, level))):
            raise UserError(
                f"{source} lacks seed {seed}, level {level}; there are {_listed(source)}; change seeds or imp.levels"
            )


def _check_unchanged(origin: Path, directory: Path) -> None:
    before = store.read_json_or_empty(paths.summary(directory)).get("source_seal")
    now = _seal(origin)
    if before and now and before != now:
        raise UserError(
            f"{origin} holds other bytes than the ticket taken before; tickets of two sources would mix; choose "
            "another work directory"
        )


def _seal(directory: Path) -> str | None:
    """Identify the bytes of a ticket by the digest of all their digests."""
    seal = paths.ticket(directory) / "seal.json"
    return digest(seal) if seal.exists() else None


def _listed(source: Path) -> str:
    directories = sorted(
        directory for directory in source.glob("seed_*/level_*") if store.exists(paths.ticket(directory))
    )
    counts = Counter(directory.parent.name.replace("_", " ") for directory in directories)
    return ", ".join(f"{levels} levels of {seed}" for seed, levels in counts.items()) or "none"


def _read(setup: Setup, directory: Path) -> Ticket:
    try:
        ticket = store.restore_ticket(paths.ticket(directory), setup.network.like)
    except store.DamagedTicket as error:
        raise UserError(f"{str(error).partition(';')[0]}; export it again where it comes from") from error
    except ValueError as error:
        raise UserError(f"{error}; set model, width and dataset to what these tickets were trained with") from error
    _check_prunable(setup, store.restore_mask(paths.ticket(directory)), directory)
    return jax.device_get(Ticket(sparsity.apply_mask(ticket.params, ticket.mask), ticket.mask))


def _check_prunable(setup: Setup, stored: PyTree, directory: Path) -> None:
    """Refuse tickets whose masks cover other leaves than `imp.prunable` names."""
    theirs = {name: np.ndim(leaf) > 0 for name, leaf in sparsity.named_leaves(stored).items()}
    ours = _prunable_names(setup, setup.network.prunable)
    differing = [name for name in ours if theirs[name] != ours[name]]
    if not differing:
        return
    fitting = [option for option, prunable in PRUNABLE.items() if theirs == _prunable_names(setup, prunable)]
    raise UserError(
        f"{directory} {'prunes' if theirs[differing[0]] else 'never prunes'} {differing[0]!r}, unlike imp.prunable "
        f"{setup.config.imp.prunable!r}; set imp.prunable to {(*fitting, 'path:REGEX')[0]!r}"
    )


def _prunable_names(setup: Setup, prunable: sparsity.Predicate) -> dict[str, bool]:
    return {name: prunable(name, leaf) for name, leaf in sparsity.named_leaves(setup.network.like.params).items()}


def _summary(setup: Setup, level: int, ticket: Ticket, origin: Path) -> dict[str, Any]:
    theirs = store.read_json_or_empty(paths.summary(origin))
    summary = {
        "level": level,
        **setup.counts(ticket.mask),
        "epoch": theirs.get("epoch"),
        "validation_accuracy": validation_accuracy(setup, ticket.params),
    }
    if theirs.get("validation_accuracy") is not None:
        summary["imported_validation_accuracy"] = theirs["validation_accuracy"]
    if "provenance" in theirs:
        summary["provenance"] = theirs["provenance"]
    return summary | {"source": str(origin), "source_seal": _seal(origin)}
