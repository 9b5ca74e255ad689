"""Tickets of the PyTorch implementations become tickets of lpjax."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lpjax import sparsity, store
from lpjax.interop import files
from lpjax.interop.convert import convert, origin
from lpjax.interop.destination import joining
from lpjax.store import paths
from lpjax.types import PyTree


def import_tickets(
    source: Path,
    destination: Path,
    *,
    model: str = "",
    mask: str = "stored",
    seed: int | None = None,
    level: int | None = None,
) -> Iterator[str]:
    """Writes `destination/seed_{s}/level_{k}` for every level found, and `tickets.json`.

    Validation accuracies are those that the files state: of the originals' hold-out.

    Args:
      source: See `files.find`.
      destination: Absent, empty, or holding other seeds of the same architecture.
      model: The name that the architecture must have; by default any that fits.
      mask: See `convert`.
      seed: See `files.find`.
      level: See `files.find`.

    Yields:
      A line to show for every level, and one for all; it tells where level 0 is missing, from which a run starts.

    Raises:
      ValueError: If anything does not fit; nothing is written then.
    """
    form, sources = files.find(source, seed, level)
    last = files.read(sources[-1], files.load)
    with _naming(sources[-1].weights):
        common = origin(last, model)
    record: dict[str, Any] = {**common.architecture._asdict(), "dataset": common.dataset, "total": common.total}
    record["seeds"] = {str(one.seed): {"form": form, "levels": [], "sources": {}} for one in sources}
    with joining(destination, record) as fresh, _in_vain():
        for one in sources:
            contents = files.read(one, files.load)
            with _naming(one.weights):
                ticket = convert(contents, common, mask)
            summary = _counts(one.level, ticket.mask)
            directory = paths.level(fresh, one.seed, one.level)
            store.save_ticket(paths.ticket(directory), ticket)
            found = {"epoch": contents.epoch, "validation_accuracy": contents.validation_accuracy}
            store.write_json(paths.summary(directory), summary | found)
            notes = record["seeds"][str(one.seed)]
            notes["levels"].append(one.level)
            notes["sources"] |= {_name(path, source): files.digest(path) for path in (one.weights, one.mask) if path}
            yield f"seed {one.seed} level {one.level:2d}: kept {summary['kept']:,} ({summary['density']:.4f})"
    network, classes, width, _ = common.architecture
    built_in = f"{common.dataset or 'no'} normalization built in"
    late = {one.seed for one in sources} - {one.seed for one in sources if one.level == 0}
    lacking = f"; lpjax.main needs level 0 of seed {min(late)} too" if late else ""
    yield f"{network}, {classes} classes, width {width}, {built_in}: {destination}{lacking}"


def _counts(level: int, mask: PyTree) -> dict[str, Any]:
    kept, total = int(sparsity.kept(mask)), sparsity.total(mask)
    return {"level": level, "kept": kept, "total": total, "density": kept / total}


def _name(path: Path, source: Path) -> str:
    return path.relative_to(source).as_posix() if path != source else path.name


@contextlib.contextmanager
def _in_vain() -> Iterator[None]:
    """Lines of levels before it may have been shown already, but all are thrown away."""
    try:
        yield
    except (ValueError, OSError) as error:
        raise ValueError(f"{error}; nothing was written") from error


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
