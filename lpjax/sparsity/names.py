"""Trees of arrays compared and rebuilt by the names of their leaves."""

from typing import Any

import jax
import numpy as np

from lpjax.sparsity.masks import leaf_name

PyTree = Any


def named_leaves(tree: PyTree) -> dict[str, Any]:
    """Lists the leaves of a tree by name.

    Args:
      tree: Any pytree.

    Returns:
      `{'layer1/conv/kernel': leaf, ...}`, in the tree's own order.
    """
    return {leaf_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def ensure_same_structure(got: PyTree, wanted: PyTree, what: str) -> None:
    """Refuses a tree whose leaves differ from the wanted ones in name, shape or dtype.

    Containers are not compared: a dict and a NamedTuple of the same fields pass for each other.

    Args:
      got: A tree of arrays.
      wanted: A tree of arrays or of `jax.ShapeDtypeStruct`.
      what: The name of `got` in the error, such as `'ticket of level 3'`.

    Raises:
      ValueError: Naming the first leaf that differs.

    Example:
      >>> ensure_same_structure({'w': np.zeros((2, 3))}, {'w': np.zeros((2, 4))}, 'ticket of level 3')
      Traceback (most recent call last):
      ValueError: ticket of level 3 has 'w' of shape (2, 3), wanted (2, 4): it belongs to another architecture
    """
    ours, theirs = named_leaves(got), named_leaves(wanted)
    for name, leaf in theirs.items():
        if name not in ours:
            raise ValueError(f"{what} has no {name!r}: it belongs to another architecture")
        if np.shape(ours[name]) != np.shape(leaf):
            raise ValueError(
                f"{what} has {name!r} of shape {np.shape(ours[name])}, wanted {np.shape(leaf)}: "
                "it belongs to another architecture"
            )
        if _dtype(ours[name]) != _dtype(leaf):
            raise ValueError(f"{what} has {name!r} of dtype {_dtype(ours[name])}, wanted {_dtype(leaf)}: convert it")
    for name in ours:
        if name not in theirs:
            raise ValueError(f"{what} has {name!r}, which is not wanted: it belongs to another architecture")


def rebuild(tree: PyTree, like: PyTree) -> PyTree:
    """Puts the leaves of one tree into the containers of another that names the same leaves.

    Args:
      tree: Where the leaves are.
      like: Whose containers to use.

    Returns:
      A tree of `like`'s structure.

    Example:
      >>> from lpjax.types import Variables
      >>> rebuild({'stats': 2, 'params': 1}, like=Variables(params=0, stats=0))
      Variables(params=1, stats=2)
    """
    leaves = named_leaves(tree)
    return jax.tree.unflatten(jax.tree.structure(like), [leaves[name] for name in named_leaves(like)])


def _dtype(leaf: Any) -> np.dtype:
    return np.dtype(leaf.dtype) if hasattr(leaf, "dtype") else np.asarray(leaf).dtype
