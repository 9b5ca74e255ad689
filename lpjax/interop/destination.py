"""A folder of imported tickets: written whole or not at all, and joined by further seeds of the same architecture."""

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
    """Gives a fresh folder to fill with seeds; once it is filled, they are where they belong.

    Args:
      destination: A folder that is absent, empty, or holds other seeds of the same tickets.
      record: What `tickets.json` shall say: `seeds` by name, and fields that all seeds share.

    Yields:
      The folder in which to write `seed_0/level_00/...`.

    Raises:
      ValueError: If the destination holds anything else, or one of the seeds.
    """
    there = _there(destination, record)
    destination.parent.mkdir(parents=True, exist_ok=True)
    beside = tempfile.TemporaryDirectory(
        prefix=f".{destination.name}.", dir=destination.parent, ignore_cleanup_errors=True
    )
    with beside as temporary:
        fresh = Path(temporary) / destination.name
        fresh.mkdir()
        yield fresh
        if there:
            for seed in record["seeds"]:
                (fresh / f"seed_{seed}").rename(destination / f"seed_{seed}")
            store.write_json(destination / RECORD, {**there, "seeds": there["seeds"] | record["seeds"]})
        else:
            store.write_json(fresh / RECORD, record)
            fresh.rename(destination)


def _there(destination: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    if not destination.exists() or (destination.is_dir() and not any(destination.iterdir())):
        return {}
    if not (destination / RECORD).exists():
        raise ValueError(f"{destination} is not empty and holds no {RECORD}; give a new folder")
    there = store.read_json(destination / RECORD)
    for field, ours in record.items():
        if field != "seeds" and there.get(field) != ours:
            raise ValueError(
                f"{destination} holds tickets whose {field} is {there.get(field) or 'none'}, here it is "
                f"{ours or 'none'}; give another folder"
            )
    taken = {int(path.name.removeprefix("seed_")) for path in destination.glob("seed_[0-9]*")}
    if common := sorted(taken & {int(seed) for seed in record["seeds"]}):
        free = next(seed for seed in itertools.count() if seed not in taken)
        raise ValueError(f"{destination} holds seed {common[0]} already; give --seed={free} or another folder")
    return there
