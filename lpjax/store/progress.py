"""Progress of training on disk: arrays are copied from their devices, and written while training goes on."""

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from lpjax.sparsity import ensure_same_structure, named_leaves, rebuild
from lpjax.store import atomic_dir
from lpjax.store.atomic_dir import DamagedProgress, DamagedTicket
from lpjax.store.checkpoints import restore
from lpjax.types import PyTree

# Otherwise Orbax compiles, for every shape, a program that cuts replicated arrays into slices, one a device.
_ARRAYS = ocp.type_handlers.create_type_handler_registry(
    (np.ndarray, ocp.type_handlers.NumpyHandler()),
    (jax.Array, ocp.type_handlers.ArrayHandler(use_replica_parallel=False)),
)


def save_progress(directory: Path, **items: PyTree) -> Future[None]:
    """Begin to write named trees of arrays; what was there before stays whole until the new is.

    When it returns, the arrays have been copied: steps may donate their buffers. Every process calls it, at the same
    step, after the last future is done: there is one save at a time.

    Args:
      directory: Created with its parents; replaced where it exists.
      **items: Trees of arrays, replicated, sharded or on the host, of numbers or typed keys; None is left out.

    Returns:
      Done once this process's part is written and, on the first, all of it sealed and in its place. Its `result()`
      raises `StorageError` if the disk is full or refuses; what was there before is whole then.

    Raises:
      StorageError: If that shows at once.

    Example:
      >>> import tempfile
      >>> directory = Path(tempfile.mkdtemp()) / 'progress'
      >>> save_progress(directory, state={'step': np.int32(7)}).result()
      >>> restore_progress(directory)
      {'state': {'step': array(7, dtype=int32)}}
    """
    directory = Path(directory).absolute()
    trees = {name: jax.tree.map(_to_storable, tree) for name, tree in items.items() if tree is not None}
    checkpointer = ocp.AsyncCheckpointer(ocp.PyTreeCheckpointHandler(type_handler_registry=_ARRAYS))
    atomic_dir.remove_leftovers(directory)
    with atomic_dir.replacing(directory) as place:
        checkpointer.save(place, args=ocp.args.PyTreeSave(trees), force=True)

    def finish() -> None:
        with atomic_dir.replacing(directory), checkpointer:
            checkpointer.wait_until_finished()
            if jax.process_index() == 0:
                atomic_dir.commit(directory)

    thread = ThreadPoolExecutor(1, "save_progress")
    future = thread.submit(finish)
    thread.shutdown(wait=False)
    return future


def restore_progress(directory: Path, like: Mapping[str, PyTree] | None = None) -> dict[str, PyTree]:
    """Read progress.

    Args:
      directory: What `save_progress` was given.
      like: Structures to return items in, by name, as for `restore`; typed keys come back as such. Where lpjax 0.1
        saved a scalar bool for a mask of one value, the array of that value comes back.

    Returns:
      The items by name, in numpy arrays, bit for bit as they were saved.

    Raises:
      DamagedProgress: If the directory does not hold exactly what was saved.
      ValueError: If an item does not have the structure, shapes and dtypes of its `like`.
    """
    try:
        items = restore(directory)
    except DamagedTicket as error:
        raise DamagedProgress(directory, error.reason) from error
    for name, tree in (like or {}).items():
        if name not in items:
            raise ValueError(f"{directory} has no {name!r}")
        wanted = jax.eval_shape(lambda tree: jax.tree.map(_key_data, tree), tree)
        item = _with_whole_masks(items[name], wanted)
        ensure_same_structure(item, wanted, f"{name} of {directory}")
        items[name] = jax.tree.map(_with_key_type, rebuild(item, wanted), tree)
    return items


def _with_whole_masks(tree: PyTree, like: PyTree) -> PyTree:
    """Widen scalar bools to the shapes that are wanted, as lpjax 0.1 saved the masks of leaves never pruned."""
    shapes = {name: leaf.shape for name, leaf in named_leaves(like).items() if leaf.dtype == bool}

    def widen(path: tuple[Any, ...], leaf: np.ndarray) -> np.ndarray:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if name in shapes and leaf.dtype == bool and np.ndim(leaf) == 0:
            return np.full(shapes[name], leaf)
        return leaf

    return jax.tree_util.tree_map_with_path(widen, tree)


def _to_storable(leaf: Any) -> jax.Array | np.ndarray:
    leaf = _key_data(leaf)
    # Of an array that each process has for itself, Orbax writes the first's only if it is on the host.
    if jax.process_count() > 1 and isinstance(leaf, jax.Array) and leaf.is_fully_addressable:
        return np.asarray(leaf)
    return leaf


def _key_data(leaf: Any) -> jax.Array | np.ndarray:
    if not isinstance(leaf, jax.Array):
        return np.asarray(leaf)
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _with_key_type(leaf: np.ndarray, like: jax.Array) -> jax.Array | np.ndarray:
    return jax.random.wrap_key_data(jnp.asarray(leaf)) if _is_key(like) else leaf


def _is_key(leaf: jax.Array) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
