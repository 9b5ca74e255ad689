"""The folder of imported tickets: written atomically, and extended by further seeds of the same architecture."""

import contextlib
import itertools
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lpjax import store

RECORD = "tickets.json"


@contextlib.contextmanager
def joining(destination: Path, record: Mapping[str, Any]) -> Iterator[Path]:
    """Yields a temporary folder for new seeds, and moves them to the destination at the end.

    Args:
      destination: A folder that is absent, empty, or contains other seeds of the same tickets.
      record: Content of `tickets.json`: `seeds` by name, and fields that all seeds share.

    Yields:
      The folder to write `seed_0/level_00/...` to.

    Raises:
      ValueError: If the destination contains anything else, or one of the seeds.
    """
    existing = _existing(destination, record)
    destination.parent.mkdir(parents=True, exist_ok=True)
    temporary_folder = tempfile.TemporaryDirectory(
        prefix=f".{destination.name}.", dir=destination.parent, ignore_cleanup_errors=True
    )
    with temporary_folder as temporary:
        folder = Path(temporary) / destination.name
        folder.mkdir()
        yield folder
        if existing:
            for seed in record["seeds"]:
                (folder / f"seed_{seed}").rename(destination / f"seed_{seed}")
            store.write_json(destination / RECORD, {**existing, "seeds": existing["seeds"] | record["seeds"]})
        else:
            store.write_json(folder / RECORD, record)
            folder.rename(destination)


def _existing(destination: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    if not destination.exists() or (destination.is_dir() and not any(destination.iterdir())):
        return {}
    if not (destination / RECORD).exists():
        raise ValueError(f"{destination} is not empty and does not contain {RECORD}; give a new folder")
    existing = store.read_json(destination / RECORD)
    for field, ours in record.items():
        if field != "seeds" and existing.get(field) != ours:
            raise ValueError(
                f"{field}: got {ours or 'none'}, but {destination} contains tickets with "
                f"{existing.get(field) or 'none'}; give another folder"
            )
    taken = {int(path.name.removeprefix("seed_")) for path in destination.glob("seed_[0-9]*")}
    common = sorted(taken & {int(seed) for seed in record["seeds"]})
    if common:
        free = next(seed for seed in itertools.count() if seed not in taken)
        raise ValueError(f"{destination} contains seed {common[0]} already; give --seed={free} or another folder")
    return existing
