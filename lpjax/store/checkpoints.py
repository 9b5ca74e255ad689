"""Tickets on disk, by Orbax: sealed directories of named trees of host arrays, for any number of devices."""

from collections.abc import Mapping
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

from lpjax.sparsity import ensure_same_structure, named_leaves, rebuild
from lpjax.store import whole
from lpjax.store.whole import DamagedTicket
from lpjax.types import PyTree, Ticket, Variables


def save(directory: Path, **items: PyTree) -> None:
    """Writes named trees of arrays; what was there before stays whole until the new is.

    Every process of a run calls it; the first one writes.

    Args:
      directory: Created with its parents; replaced where it exists.
      **items: Trees of arrays or numbers; replicated arrays are fetched from their devices.

    Raises:
      CannotWrite: If the disk is full or refuses; what was there before is whole then.
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
    whole.clean(directory)
    with whole.written(directory):
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
            checkpointer.save(whole.fresh(directory), args=ocp.args.PyTreeSave(trees), force=True)
        if jax.process_index() == 0:
            whole.settle(directory)
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
    directory = whole.found(Path(directory).absolute())
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
    return (whole.newest(Path(directory)) / whole.COMMIT).exists()


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
