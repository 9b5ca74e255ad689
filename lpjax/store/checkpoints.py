"""Tickets on disk, by Orbax: sealed directories of named trees of host arrays, for any number of devices."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from lpjax import sparsity
from lpjax.sparsity import ensure_same_structure, named_leaves, rebuild
from lpjax.store import atomic_dir, paths
from lpjax.store.atomic_dir import DamagedTicket
from lpjax.types import PyTree, Ticket, Variables


def save(directory: Path, **items: PyTree) -> None:
    """Write named trees of arrays; what was there before stays whole until the new is.

    Every process of a run calls it; the first one writes.

    Args:
      directory: Created with its parents; replaced where it exists.
      **items: Trees of arrays or numbers; replicated arrays are fetched from their devices.

    Raises:
      StorageError: If the disk is full or refuses; what was there before is whole then.
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
    atomic_dir.remove_leftovers(directory)
    with atomic_dir.replacing(directory) as place:
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
            checkpointer.save(place, args=ocp.args.PyTreeSave(trees), force=True)
        if jax.process_index() == 0:
            atomic_dir.commit(directory)
    ocp.utils.sync_global_processes("lpjax:save")


def restore(directory: Path, *names: str, like: Mapping[str, PyTree] | None = None) -> dict[str, PyTree]:
    """Read named trees as numpy arrays.

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
    directory = atomic_dir.verified(Path(directory).absolute())
    items = _read(directory, names)
    for name, structure in (like or {}).items():
        if name in items:
            ensure_same_structure(items[name], structure, f"{name} of {directory}")
            items[name] = rebuild(items[name], structure)
    return items


def exists(directory: Path) -> bool:
    """Tell whether a whole ticket (or whatever `save` was given) is there.

    Args:
      directory: What `save` was given; of a ticket, also the folder of its level or pool.

    Returns:
      Whether it was written to its end; its bytes are not checked.
    """
    return _is_whole(find_ticket(Path(directory)))


def find_ticket(directory: Path) -> Path:
    """Find the ticket that a user names by its own folder or by that of its level or pool.

    Args:
      directory: `.../level_09/ticket` or `.../level_09`.

    Returns:
      `.../level_09/ticket` for both; `directory` where neither is a ticket.
    """
    inside = paths.ticket(directory)
    return inside if not _is_whole(directory) and _is_whole(inside) else directory


def save_ticket(directory: Path, ticket: Ticket, prunable: sparsity.Prunable = sparsity.kernels) -> None:
    """Write a ticket; see `save`.

    On disk a leaf that is never pruned has a scalar `True` for a mask.

    Args:
      directory: Created with its parents; replaced where it exists.
      ticket: Of any tree structure. `Variables` are written as parameters and statistics, with the mask of the
        parameters alone.
      prunable: Which leaves may be pruned: a predicate or a tree of bools. The mask of a leaf that has pruned weights
        is written whole in any case.

    Raises:
      ValueError: If the mask does not fit the parameters.
    """
    sparsity.ensure_fits(ticket.mask, ticket.params)
    mask = compact_mask(jax.device_get(ticket.mask), ticket.params, prunable)
    if isinstance(ticket.params, Variables):
        save(directory, params=ticket.params.params, stats=ticket.params.stats, mask=mask.params)
    else:
        save(directory, params=ticket.params, mask=mask)


def compact_mask(mask: PyTree, params: PyTree, prunable: sparsity.Prunable) -> PyTree:
    """Give a mask the form that it has on disk: a scalar `True` in leaves that are never pruned.

    Args:
      mask: A bool tree on the host; a leaf may be a scalar.
      params: Parameters, or their shapes.
      prunable: Which leaves may be pruned. A leaf that has pruned weights is left whole in any case.

    Returns:
      The mask in numpy arrays; that of a prunable leaf has the leaf's shape.
    """

    def compact(leaf: Any, param: Any, counted: bool) -> np.ndarray:
        host = np.asarray(leaf)
        if not counted and host.all():
            return np.ones((), bool)
        return np.array(np.broadcast_to(host, np.shape(param)))

    flags = sparsity.as_tree(sparsity.prunable_leaves(params, prunable), params)
    return jax.tree.map(compact, mask, params, flags)


def restore_ticket(directory: Path, like: PyTree | None = None) -> Ticket:
    """Read a ticket.

    Args:
      directory: What `save_ticket` was given, or the folder of a level or pool that holds it.
      like: The parameters of the network it should fit, or their shapes; `Variables` for a network with statistics.
        Needed where parameters are not nested dicts.

    Returns:
      The ticket, in numpy arrays. Its mask mirrors its parameters.

    Raises:
      DamagedTicket: If the directory does not hold exactly what was saved.
      ValueError: If the ticket belongs to another network than `like`.
    """
    directory = find_ticket(Path(directory))
    structures = {}
    if isinstance(like, Variables):
        structures = like._asdict()
    elif like is not None:
        structures = {"params": like}
    items = restore(directory, like=structures)
    for name in ("params", "mask", *structures):
        if name not in items:
            raise DamagedTicket(directory.absolute(), f"it holds {', '.join(items)}, but no {name}")
    params = items["params"]
    mask = rebuild(items["mask"], params)
    sparsity.ensure_fits(mask, params)
    mask = jax.tree.map(lambda m, p: np.array(np.broadcast_to(m, np.shape(p))), mask, params)
    if "stats" not in items or not (like is None or isinstance(like, Variables)):
        return Ticket(params, mask)
    stats = items["stats"]
    everything = jax.tree.map(lambda leaf: np.ones(np.shape(leaf), bool), stats)
    return Ticket(Variables(params, stats), Variables(mask, everything))


def restore_mask(directory: Path) -> PyTree:
    """Read the mask of a ticket's parameters as it lies on disk, and no parameters; see `restore_ticket`.

    Args:
      directory: As for `restore_ticket`.

    Returns:
      The mask, in numpy arrays, with a scalar `True` in leaves that are never pruned: count it with
      `prunable=sparsity.all_leaves`.
    """
    return restore(find_ticket(Path(directory)), "mask")["mask"]


def _read(directory: Path, names: Sequence[str]) -> dict[str, PyTree]:
    place = atomic_dir.orbax_path(directory)
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
        metadata = checkpointer.metadata(place).item_metadata
        if metadata is None:
            raise DamagedTicket(directory, "Orbax finds no arrays in it")
        stored = metadata.tree
        for name in names:
            if name not in stored:
                raise DamagedTicket(directory, f"it holds {', '.join(stored)}, but no {name}")
        wanted = {name: stored[name] for name in names or stored}
        as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), wanted)
        request = ocp.args.PyTreeRestore(item=wanted, restore_args=as_numpy, partial_restore=True)
        return checkpointer.restore(place, args=request)


def _is_whole(directory: Path) -> bool:
    return (atomic_dir.current(directory) / atomic_dir.COMMIT).exists()


def _to_host(tree: PyTree, item: str) -> PyTree:
    try:
        host = jax.tree.map(np.asarray, jax.device_get(tree))
    except TypeError as error:
        raise ValueError(f"cannot save {item!r}: {error}") from error
    for name, leaf in named_leaves(host).items():
        if leaf.dtype.kind in "OSU" or not leaf.size:
            raise ValueError(f"cannot save {name!r} of {item!r}: {leaf.size} values of dtype {leaf.dtype}")
    return host
