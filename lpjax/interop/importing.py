"""Import of tickets of the PyTorch implementations."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lpjax import sparsity, store
from lpjax.interop import files
from lpjax.interop.convert import convert, origin, prunable_tree
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

    Validation accuracies are those stored in the files, on the hold-out of the original code.

    Args:
      source: As for `files.find`.
      destination: A folder that is absent, empty, or contains other seeds of the same architecture.
      model: Required name of the architecture; by default any that fits.
      mask: As for `convert`.
      seed: As for `files.find`.
      level: As for `files.find`.

    Yields:
      A line of output per level, and a last line, which names seeds without level 0, as a run needs it.

    Raises:
      ValueError: If files are invalid or inconsistent; then nothing is written.
    """
    form, sources = files.find(source, seed, level)
    last = files.read(sources[-1], files.load)
    with _naming(sources[-1].weights):
        shared = origin(last, model)
    prunable = prunable_tree(shared)
    record: dict[str, Any] = {**shared.architecture._asdict(), "dataset": shared.dataset, "total": shared.total}
    record["seeds"] = {str(one.seed): {"form": form, "levels": [], "sources": {}} for one in sources}
    with joining(destination, record) as folder, _nothing_written():
        for one in sources:
            contents = files.read(one, files.load)
            with _naming(one.weights):
                ticket = convert(contents, shared, mask)
            summary = _counts(one.level, ticket.mask, prunable)
            directory = paths.level(folder, one.seed, one.level)
            store.save_ticket(paths.ticket(directory), ticket, prunable)
            found = {"epoch": contents.epoch, "validation_accuracy": contents.validation_accuracy}
            store.write_json(paths.summary(directory), summary | found)
            notes = record["seeds"][str(one.seed)]
            notes["levels"].append(one.level)
            notes["sources"] |= {_name(path, source): files.digest(path) for path in (one.weights, one.mask) if path}
            yield f"seed {one.seed} level {one.level:2d}: kept {summary['kept']:,} ({summary['density']:.4f})"
    network, classes, width, _ = shared.architecture
    built_in = f"{shared.dataset or 'no'} normalization built in"
    without_dense = {one.seed for one in sources} - {one.seed for one in sources if one.level == 0}
    hint = f"; lpjax.main needs level 0 of seed {min(without_dense)} too" if without_dense else ""
    yield f"{network}, {classes} classes, width {width}, {built_in}: {destination}{hint}"


def _counts(level: int, mask: PyTree, prunable: PyTree) -> dict[str, Any]:
    kept = int(sparsity.kept(mask, prunable))
    total = sparsity.total(mask, prunable)
    return {"level": level, "kept": kept, "total": total, "density": kept / total}


def _name(path: Path, source: Path) -> str:
    return path.relative_to(source).as_posix() if path != source else path.name


@contextlib.contextmanager
def _nothing_written() -> Iterator[None]:
    """Adds to errors that nothing was written, since lines of earlier levels may have been printed."""
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
