"""Who a work directory belongs to: one config, written on first use and compared ever after."""

import functools
import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from lpjax.errors import UserError
from lpjax.store import paths
from lpjax.store.records import read_json, write_json

_SHOWN = 5
_BACK = "put its config.json back (the same command writes it anew into an empty directory)"


def claim(
    workdir: Path,
    config: Mapping[str, Any],
    *,
    growing: Collection[str] = ("seeds",),
    free: Collection[str] = (),
    defaults: Mapping[str, Any] | None = None,
    translate: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> None:
    """Takes a work directory for a config, or refuses one that belongs to another.

    Args:
      workdir: Created if need be.
      config: Nested dicts of JSON values; tuples count as lists.
      growing: Fields (dotted names) holding lists that may differ from run to run: more seeds join the same directory,
        and its config.json then lists them all.
      free: Fields that may differ: where data lie, how fast; config.json tells the newest.
      defaults: What a config means that was written before a field existed.
      translate: Gives a config that an older version wrote the names of this version.

    Raises:
      UserError: If the directory holds another config, naming the fields that differ, or anything but a run.

    Example:
      >>> import tempfile
      >>> workdir = Path(tempfile.mkdtemp())
      >>> claim(workdir, {'train': {'epochs': 3}, 'seeds': [0]})
      >>> claim(workdir, {'train': {'epochs': 3}, 'seeds': [1]})
      >>> read_json(paths.config(workdir))['seeds']
      [0, 1]
    """
    ours = json.loads(json.dumps(config))
    if not paths.config(workdir).exists():
        _ensure_empty(workdir)
        write_json(paths.config(workdir), ours)
        return
    written = _read(workdir)
    theirs = _filled(translate(written), json.loads(json.dumps(defaults or {})))
    differing = _differences(theirs, ours, {*growing, *free})
    if differing:
        more = f" and {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
        raise UserError(
            f"{workdir} holds another config: {'; '.join(differing[:_SHOWN])}{more}; "
            "choose another work directory or restore these fields"
        )
    grown = json.loads(json.dumps(theirs))
    for field in (*growing, *free):
        *rooms, name = field.split(".")
        here, there = (functools.reduce(dict.__getitem__, rooms, tree) for tree in (ours, grown))
        if name in here:
            there[name] = _union(there.get(name, []), here[name]) if field in growing else here[name]
    if theirs != grown or translate(written) != written:
        write_json(paths.config(workdir), grown)


def _ensure_empty(workdir: Path) -> None:
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        # Hidden files may be an interrupted claim's, or the file browser's.
        strangers = sorted(path.name for path in workdir.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise UserError(f"cannot use {workdir} as work directory: {error.strerror}; choose another") from error
    if strangers:
        raise UserError(
            f"{workdir} is not empty ({strangers[0]!r}, ...) and holds no config.json; choose another, or {_BACK}"
        )


def _read(workdir: Path) -> dict[str, Any]:
    try:
        return dict(read_json(paths.config(workdir)))
    except (ValueError, TypeError) as error:
        raise UserError(f"{paths.config(workdir)} is damaged; {_BACK}, or choose another work directory") from error


def _differences(old: Any, new: Any, ignored: Collection[str]) -> list[str]:
    before, after = dict(_fields(old)), dict(_fields(new))
    return [
        f"{name} is {before.get(name, 'absent')} there, {after.get(name, 'absent')} here"
        for name in before | after
        if before.get(name) != after.get(name) and name not in ignored
    ]


def _fields(tree: Any, prefix: str = "") -> list[tuple[str, str]]:
    if isinstance(tree, dict) and tree:
        return [field for name, value in tree.items() for field in _fields(value, f"{prefix}.{name}".lstrip("."))]
    return [(prefix, json.dumps(tree))]


def _filled(tree: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    rooms = {name: value for name, value in tree.items() if isinstance(value, dict) and name in defaults}
    return defaults | tree | {name: _filled(value, defaults[name]) for name, value in rooms.items()}


def _union(old: list[Any], new: list[Any]) -> list[Any]:
    return old + [value for value in new if value not in old]
