"""Compares work directories: what a run that was disturbed leaves must be what an undisturbed one does."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from lpjax import store

# What describes one start, not the work: when, where, by which command.
_OF_A_START = {".lock", "command.txt", "environment.json", "log", "report"}


def differences(first: Path, second: Path) -> list[str]:
    """Compare two work directories: records byte for byte, tickets array for array, their seals checked.

    Of summaries the seconds are left out. Whatever lies in one directory alone counts, temporary files too.
    """
    here = dict(_contents(first))
    there = dict(_contents(second))
    found = []
    for name in sorted(here | there):
        if here.get(name) != there.get(name):
            found.append(f"{name}: {_words(here.get(name, 'absent'), there.get(name, 'absent'))}")
    return found


def tickets(workdir: Path) -> int:
    """Restore everything that was saved as a whole, which checks its seal; return how many there are."""
    found = [directory for directory in _saved(workdir) if store.exists(directory)]
    for directory in found:
        store.restore(directory)
    return len(found)


def _saved(workdir: Path) -> list[Path]:
    return sorted(seal.parent for seal in workdir.rglob("seal.json") if not seal.parent.name.startswith("."))


def _contents(workdir: Path) -> Iterator[tuple[str, Any]]:
    saved = _saved(workdir)
    for directory in saved:
        yield directory.relative_to(workdir).as_posix(), _arrays(directory)
    for path in sorted(workdir.rglob("*")):
        name = path.relative_to(workdir)
        if path.is_file() and name.parts[0] not in _OF_A_START and not any(path.is_relative_to(d) for d in saved):
            yield name.as_posix(), _record(path)


def _arrays(directory: Path) -> Any:
    try:
        leaves = jax.tree_util.tree_leaves_with_path(store.restore(directory))
    except store.DamagedTicket as error:
        return str(error)
    return [(jax.tree_util.keystr(path), leaf.dtype, leaf.shape, np.asarray(leaf).tobytes()) for path, leaf in leaves]


def _record(path: Path) -> Any:
    if path.name != "summary.json":
        return path.read_bytes()
    return {name: value for name, value in json.loads(path.read_text()).items() if name != "seconds"}


def _words(first: Any, second: Any) -> str:
    if not isinstance(first, str) and not isinstance(second, str):
        return "other values"
    return " | ".join(what if isinstance(what, str) else "there" for what in (first, second))
