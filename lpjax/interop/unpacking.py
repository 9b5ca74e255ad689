"""Import packed files: the levels of a run, each from one file."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from lpjax import data, sparsity
from lpjax.errors import UserError
from lpjax.interop import files
from lpjax.interop.destination import joining
from lpjax.interop.importing import hint_of_level_0, save_level
from lpjax.interop.layout import to_state_dict
from lpjax.interop.masks import split_masks
from lpjax.interop.packed import SUFFIX, Packed, read_packed_file
from lpjax.interop.recognize import recognize
from lpjax.types import Variables


class _Level(NamedTuple):
    seed: int
    level: int
    path: Path
    packed: Packed


def packed_files(source: Path) -> list[Path]:
    """List the packed files of a folder, or the file itself, in natural order; none for anything else."""
    if source.is_dir():
        return sorted(source.glob(f"*{SUFFIX}"), key=files.natural)
    return [source] if source.suffix == SUFFIX and source.exists() else []


def import_packed(
    source: Path, destination: Path, *, seed: int | None = None, level: int | None = None
) -> Iterator[str]:
    """Write `destination/seed_{s}/level_{k}` for every packed file, and `tickets.json`; yield a line per level.

    Args:
      source: A packed file, or a folder of them.
      destination: New, empty, or with other seeds of the same network; `--config.imp.tickets_from` takes it.
      seed: Instead of the seed that the files say.
      level: Instead of the level that a single file says.

    Yields:
      Lines of output.

    Raises:
      UserError: If a file is damaged, levels do not follow each other, or networks differ.
    """
    levels = _read(source, seed, level)
    record = _shared(levels)
    with joining(destination, record) as folder:
        for one in levels:
            ticket, prunable, provenance = one.packed
            kept = save_level(folder, one.seed, one.level, ticket, prunable, provenance)
            notes = record["seeds"][str(one.seed)]
            notes["levels"].append(one.level)
            notes["sources"][one.path.name] = files.digest(one.path)
            yield (
                f"seed {one.seed} level {one.level:2d}: kept {kept:,} ({kept / record['total']:.4f}), "
                f"{provenance.get('method', 'ticket')}"
            )
    yield f"{record['model'] or 'a network'}: {destination}{hint_of_level_0(record)}"
    others = sorted(path.name for path in source.glob("*") if path.name.endswith(files.SUFFIXES))
    if others:
        yield f"ignored beside the {SUFFIX} files: {', '.join(others)}; import them into a folder of their own"


def _read(source: Path, seed: int | None, level: int | None) -> list[_Level]:
    found = packed_files(source)
    if not found:
        raise UserError(f"{source}: got no packed tickets, expected a {SUFFIX} file or a folder of them")
    if level is not None and len(found) > 1:
        raise UserError(f"--level: got {level}, but {source} contains {len(found)} files; give one of them")
    levels = []
    for number, path in enumerate(found):
        packed = read_packed_file(path)
        of_seed = packed.provenance.get("seed", 0) if seed is None else seed
        of_level = packed.provenance.get("level", number) if level is None else level
        levels.append(_Level(of_seed, of_level, path, packed))
    levels.sort(key=lambda one: one[:3])
    files.check_levels([one[:3] for one in levels])
    return levels


def _shared(levels: list[_Level]) -> dict[str, Any]:
    """Return the record of what all levels share; levels that differ are refused."""
    record = _network(levels[0].packed)
    for one in levels:
        if _network(one.packed) != record:
            raise UserError(f"{one.path} is of another network than {levels[0].path}; import one experiment")
    seeds = {str(one.seed): {"form": "packed", "levels": [], "sources": {}} for one in levels}
    return {**record, "seeds": seeds}


def _network(packed: Packed) -> dict[str, Any]:
    """Return the fields of `tickets.json` on the network, as imports of other files write them."""
    known: Mapping[str, Any] = packed.provenance
    architecture = {"model": known.get("model"), "classes": None, "width": known.get("width"), "channels": None}
    if isinstance(packed.ticket.params, Variables):
        with suppress(UserError):  # a network of the user's own
            state = to_state_dict(packed.ticket, form="plain", prunable=packed.prunable)
            architecture = recognize(split_masks(state)[0])._asdict()
    dataset = str(known.get("dataset", "")).partition(":")[0]
    return {
        **architecture,
        "dataset": dataset if dataset in data.PUBLISHED else None,
        "total": sparsity.total(packed.ticket.mask, packed.prunable),
    }
