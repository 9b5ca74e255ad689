"""Tickets on disk: the one module that knows Orbax.

A directory holds named trees of host arrays, so that it restores on any number of devices, and beside Orbax's files a
seal: the digest of each of them. Orbax does not notice when bytes of an array change (its values carry no checksum),
and what it says of broken files is many lines long; so nothing it reads goes unchecked.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

from lpjax.sparsity import ensure_same_structure, named_leaves, rebuild
from lpjax.types import PyTree, Ticket, Variables

_COMMIT = "commit_success.txt"
_SEAL = "seal.json"


class DamagedTicket(ValueError):  # noqa: N818 (the word says what is wrong; "Error" would add nothing)
    """A ticket's directory is missing, incomplete or holds other bytes than were written."""

    def __init__(self, directory: Path, reason: str) -> None:
        super().__init__(
            f"damaged ticket {directory}: {reason}; delete that folder and run the same command again: "
            "only this ticket is recomputed"
        )


def save(directory: Path, **items: PyTree) -> None:
    """Writes named trees of arrays; what was there before stays whole until the new is.

    Every process of a run calls it; the first one writes.

    Args:
      directory: Created with its parents; replaced where it exists.
      **items: Trees of arrays or numbers; replicated arrays are fetched from their devices.

    Raises:
      ValueError: If a leaf is no array of numbers: a string, an empty array, a typed key (save its `key_data`).

    Example:
      >>> import tempfile
      >>> directory = Path(tempfile.mkdtemp()) / 'state'
      >>> save(directory, weights={'w': np.arange(3.0)}, step=7)
      >>> restore(directory, 'step')
      {'step': array(7)}
    """
    directory = Path(directory).absolute()
    trees = {name: _to_host(tree, name) for name, tree in items.items()}
    fresh = _beside(directory, "new")
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
        checkpointer.save(fresh, args=ocp.args.PyTreeSave(trees), force=True)
    if jax.process_index() == 0:
        _write_seal(fresh)
        _replace(directory, fresh)
    ocp.utils.sync_global_processes("lpjax:save")


def restore(directory: Path, *names: str, like: Mapping[str, PyTree] | None = None) -> dict[str, PyTree]:
    """Reads named trees as numpy arrays.

    Args:
      directory: What `save` was given.
      *names: Which of its items; by default all.
      like: Structures to return items in, by name: trees of arrays or of `jax.ShapeDtypeStruct`. An item that is not
        named here comes back as nested dicts (NamedTuples too) and lists.

    Returns:
      The items by name, bit for bit as they were saved.

    Raises:
      DamagedTicket: If the directory does not hold exactly what was saved.
      ValueError: If an item does not have the structure, shapes and dtypes of its `like`.
    """
    directory = _newest(Path(directory).absolute())
    _check_seal(directory)
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
        stored = checkpointer.metadata(directory).item_metadata.tree
        absent = [name for name in names if name not in stored]
        if absent:
            raise DamagedTicket(directory, f"it holds {', '.join(stored)}, but no {', '.join(absent)}")
        wanted = {name: stored[name] for name in names or stored}
        as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), wanted)
        request = ocp.args.PyTreeRestore(item=wanted, restore_args=as_numpy, partial_restore=True)
        items = checkpointer.restore(directory, args=request)
    for name, structure in (like or {}).items():
        if name in items:
            ensure_same_structure(items[name], structure, f"{name} of {directory}")
            items[name] = rebuild(items[name], structure)
    return items


def exists(directory: Path) -> bool:
    """Tells whether a whole ticket (or whatever `save` was given) is there.

    Args:
      directory: What `save` was given.

    Returns:
      Whether it was written to its end; its bytes are not checked.
    """
    return (_newest(Path(directory)) / _COMMIT).exists()


def save_ticket(directory: Path, ticket: Ticket) -> None:
    """Writes a ticket; see `save`.

    Args:
      directory: Created with its parents; replaced where it exists.
      ticket: Parameters, statistics and mask of any tree structure.
    """
    save(directory, params=ticket.variables.params, stats=ticket.variables.stats, mask=ticket.mask)


def restore_ticket(directory: Path, like: Variables | None = None) -> Ticket:
    """Reads a ticket.

    Args:
      directory: What `save_ticket` was given.
      like: The variables of the network it should fit; needed where parameters are not nested dicts.

    Returns:
      The ticket, in numpy arrays.

    Raises:
      DamagedTicket: If the directory does not hold exactly what was saved.
      ValueError: If the ticket belongs to another network than `like`.
    """
    items = restore(directory, "params", "stats", "mask", like=like._asdict() if like else None)
    mask = rebuild(items["mask"], like.params) if like else items["mask"]
    return Ticket(Variables(items["params"], items["stats"]), mask)


def restore_mask(directory: Path) -> PyTree:
    """Reads the mask of a ticket and no parameters; see `restore_ticket`.

    Args:
      directory: What `save_ticket` was given.

    Returns:
      The mask, in numpy arrays.
    """
    return restore(directory, "mask")["mask"]


def _to_host(tree: PyTree, item: str) -> PyTree:
    try:
        host = jax.tree.map(np.asarray, jax.device_get(tree))
    except TypeError as error:
        raise ValueError(f"cannot save {item!r}: {error}") from error
    for name, leaf in named_leaves(host).items():
        if leaf.dtype.kind in "OSU" or not leaf.size:
            raise ValueError(f"cannot save {name!r} of {item!r}: {leaf.size} values of dtype {leaf.dtype}")
    return host


def _write_seal(directory: Path) -> None:
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    seal = {path.relative_to(directory).as_posix(): _digest(path) for path in files}
    (directory / _SEAL).write_text(json.dumps(seal, indent=1), encoding="utf-8")


def _check_seal(directory: Path) -> None:
    if not (directory / _COMMIT).exists():
        raise DamagedTicket(directory, "no whole ticket is there")
    try:
        seal = dict(json.loads((directory / _SEAL).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DamagedTicket(directory, f"its {_SEAL} cannot be read") from error
    for name, digest in seal.items():
        if _digest(directory / name) != digest:
            raise DamagedTicket(directory, f"its file {name} is missing or not what was saved")


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return "unreadable"


def _beside(directory: Path, what: str) -> Path:
    return directory.with_name(f".{directory.name}.{what}")


def _replace(directory: Path, fresh: Path) -> None:
    # Between the two renames nothing carries the directory's name: _newest then takes the old one, which is whole.
    old = _beside(directory, "old")
    if directory.exists():
        shutil.rmtree(old, ignore_errors=True)
        directory.rename(old)
    fresh.rename(directory)
    (old / _COMMIT).unlink(missing_ok=True)
    shutil.rmtree(old, ignore_errors=True)


def _newest(directory: Path) -> Path:
    old = _beside(directory, "old")
    return old if old.exists() and not directory.exists() else directory
