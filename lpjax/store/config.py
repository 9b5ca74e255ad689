"""Who a work directory belongs to: one config, written on first use and compared ever after."""

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from lpjax.errors import UserError
from lpjax.store import paths
from lpjax.store.records import read_json, write_json

_SHOWN = 5  # differences
_BACK = "put its config.json back (the same command writes it anew into an empty directory)"


def bind_config(
    workdir: Path,
    config: Mapping[str, Any],
    *,
    growing: Collection[str] = ("seeds",),
    free: Collection[str] = (),
    defaults: Mapping[str, Any] | None = None,
    translate: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> None:
    """Take a work directory for a config, or refuse one that belongs to another.

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
      >>> bind_config(workdir, {'train': {'epochs': 3}, 'seeds': [0]})
      >>> bind_config(workdir, {'train': {'epochs': 3}, 'seeds': [1]})
      >>> read_json(paths.config(workdir))['seeds']
      [0, 1]
    """
    new = _as_json(config)
    if not paths.config(workdir).exists():
        _ensure_empty(workdir)
        write_json(paths.config(workdir), new)
        return
    written = _read(workdir)
    old = _with_defaults(translate(written), _as_json(defaults or {}))
    differences = _differences(old, new, {*growing, *free})
    if differences:
        more = f" and {len(differences) - _SHOWN} more" if len(differences) > _SHOWN else ""
        raise UserError(
            f"{workdir} holds another config: {'; '.join(differences[:_SHOWN])}{more}; "
            "choose another work directory or restore these fields"
        )
    merged = _as_json(old)
    for field in growing:
        _update(merged, new, field, _union)
    for field in free:
        _update(merged, new, field, lambda _, value: value)
    if old != merged or translate(written) != written:
        write_json(paths.config(workdir), merged)


def _as_json(config: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(config))


def _ensure_empty(workdir: Path) -> None:
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        # Hidden files may be an interrupted start's, or the file browser's.
        others = sorted(path.name for path in workdir.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise UserError(f"cannot use {workdir} as work directory: {error.strerror}; choose another") from error
    if others:
        raise UserError(
            f"{workdir} is not empty ({others[0]!r}, ...) and holds no config.json; choose another, or {_BACK}"
        )


def _read(workdir: Path) -> dict[str, Any]:
    try:
        return dict(read_json(paths.config(workdir)))
    except (ValueError, TypeError) as error:
        raise UserError(f"{paths.config(workdir)} is damaged; {_BACK}, or choose another work directory") from error


def _differences(old: dict[str, Any], new: dict[str, Any], ignored: Collection[str]) -> list[str]:
    before = flat_fields(old)
    after = flat_fields(new)
    differences = []
    for name in before | after:
        there = before.get(name, "absent")
        here = after.get(name, "absent")
        if there != here and name not in ignored:
            differences.append(f"{name} is {there} there, {here} here")
    return differences


def flat_fields(tree: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """List the values of nested dicts, as JSON, by dotted names."""
    fields: dict[str, str] = {}
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            fields |= flat_fields(value, f"{prefix}{name}.")
        else:
            fields[prefix + name] = json.dumps(value)
    return fields


def _with_defaults(tree: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    merged = defaults | tree
    for name, value in tree.items():
        if isinstance(value, dict) and name in defaults:
            merged[name] = _with_defaults(value, defaults[name])
    return merged


def _update(config: dict[str, Any], new: dict[str, Any], field: str, merge: Callable[[Any, Any], Any]) -> None:
    *sections, name = field.split(".")
    for section in sections:
        config = config[section]
        new = new[section]
    if name in new:
        config[name] = merge(config.get(name, []), new[name])


def _union(old: list[Any], new: list[Any]) -> list[Any]:
    return old + [value for value in new if value not in old]
