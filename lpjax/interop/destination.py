"""The folder of imported tickets: written atomically, and extended by further seeds of the same architecture."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lpjax import store
from lpjax.errors import UserError

RECORD = "tickets.json"


@contextlib.contextmanager
def joining(destination: Path, record: Mapping[str, Any]) -> Iterator[Path]:
    """Yield a temporary folder for `seed_0/level_00/...`, and move it to the destination at the end.

    The destination is absent, empty, or contains other seeds with the same fields of `record`, which is the content of
    `tickets.json` when the block ends: its `seeds` by name, and fields that all seeds share.
    """
    existing = _existing(destination, record)
    with store.wrap_os_errors(destination):
        destination.parent.mkdir(parents=True, exist_ok=True)
        temporary = tempfile.TemporaryDirectory(
            prefix=f".{destination.name}.", dir=destination.parent, ignore_cleanup_errors=True
        )
    with temporary as name:
        folder = Path(name) / destination.name
        folder.mkdir()
        yield folder
        if not existing:
            store.write_json(folder / RECORD, record)
            with store.wrap_os_errors(destination):
                folder.rename(destination)
            return
        with store.wrap_os_errors(destination):
            for seed in record["seeds"]:
                (folder / f"seed_{seed}").rename(destination / f"seed_{seed}")
        store.write_json(destination / RECORD, {**existing, "seeds": existing["seeds"] | record["seeds"]})


def _existing(destination: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """Read the record of the seeds that are there; a folder that cannot be joined is refused."""
    if not destination.exists() or (destination.is_dir() and not any(destination.iterdir())):
        return {}
    if not (destination / RECORD).exists():
        raise UserError(f"{destination} is not empty and does not contain {RECORD}; give a new folder")
    existing = store.read_json(destination / RECORD)
    for field, ours in record.items():
        theirs = existing.get(field)
        if field != "seeds" and theirs != ours:
            raise UserError(
                f"{field}: got {ours or 'none'}, but {destination} contains tickets with {theirs or 'none'}; "
                "give another folder"
            )
    _check_seeds(destination, record["seeds"])
    return existing


def _check_seeds(destination: Path, seeds: Mapping[str, Any]) -> None:
    taken = {path.name.removeprefix("seed_") for path in destination.glob("seed_[0-9]*")}
    for seed in sorted(taken & seeds.keys(), key=int):
        free = 1 + max(map(int, taken))
        raise UserError(f"{destination} contains seed {seed} already; give --seed={free} or another folder")
