"""Names of leaves, and trees compared and rebuilt by them."""

from typing import Any

import jax
import numpy as np

PyTree = Any


def leaf_name(path: Any) -> str:
    """Write a key path as `'layer1/conv/kernel'`, without the attribute in which Flax NNX keeps a variable's array."""
    if len(path) > 1 and isinstance(path[-1], jax.tree_util.GetAttrKey) and path[-1].name == "value":
        path = path[:-1]
    return jax.tree_util.keystr(path, simple=True, separator="/")


def leaf_names(tree: PyTree) -> list[str]:
    """List the names of all leaves, in tree order."""
    return [leaf_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(tree)]


def leaves_by_name(tree: PyTree) -> dict[str, Any]:
    """List the leaves by the names that `leaf_name` gives them, in tree order."""
    return dict(zip(leaf_names(tree), jax.tree.leaves(tree), strict=True))


def named_leaves(tree: PyTree) -> dict[str, Any]:
    """List the leaves by their full names, in tree order; unlike in `leaf_name`, every key of the path is kept."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def same_structure(tree: PyTree, other: PyTree) -> bool:
    """Tell whether two trees have the same containers."""
    structure: Any = jax.tree.structure(tree)
    return structure == jax.tree.structure(other)


def ensure_same_shapes(tree: PyTree, like: PyTree, what: str) -> None:
    """Refuse a tree whose leaves differ from another's in name or shape; nothing is broadcast.

    Example:
      >>> ensure_same_shapes({'w': np.zeros((1, 8))}, {'w': np.zeros((8, 8))}, 'candidate')
      Traceback (most recent call last):
      ValueError: candidate: leaf 'w' has shape (1, 8), expected (8, 8)
    """
    got = leaves_by_name(tree)
    expected = leaves_by_name(like)
    for name, leaf in expected.items():
        shape = np.shape(leaf)
        if name not in got:
            raise ValueError(f"{what}: leaf {name!r} is missing (or None), expected an array of shape {shape}")
        if np.shape(got[name]) != shape:
            raise ValueError(f"{what}: leaf {name!r} has shape {np.shape(got[name])}, expected {shape}")
    for name in got:
        if name not in expected:
            raise ValueError(f"{what}: got a leaf {name!r} that is not expected; the trees must have the same leaves")
    if not same_structure(tree, like):
        raise ValueError(
            f"{what}: got the containers {jax.tree.structure(tree)}, expected {jax.tree.structure(like)}; "
            "use the same kinds of containers in both trees"
        )


def ensure_same_structure(got: PyTree, wanted: PyTree, what: str) -> None:
    """Refuse a tree whose leaves differ from the wanted ones in name, shape or dtype; containers are not compared.

    Example:
      >>> ensure_same_structure({'w': np.zeros((2, 3))}, {'w': np.zeros((2, 4))}, 'ticket of level 3')
      Traceback (most recent call last):
      ValueError: ticket of level 3 has 'w' of shape (2, 3), wanted (2, 4): it belongs to another architecture
    """
    given = named_leaves(got)
    expected = named_leaves(wanted)
    for name, leaf in expected.items():
        if name not in given:
            raise ValueError(f"{what} has no {name!r}: it belongs to another architecture")
        shape = np.shape(given[name])
        if shape != np.shape(leaf):
            raise ValueError(
                f"{what} has {name!r} of shape {shape}, wanted {np.shape(leaf)}: it belongs to another architecture"
            )
        if dtype_of(given[name]) != dtype_of(leaf):
            raise ValueError(
                f"{what} has {name!r} of dtype {dtype_of(given[name])}, wanted {dtype_of(leaf)}: convert it"
            )
    for name in given:
        if name not in expected:
            raise ValueError(f"{what} has {name!r}, which is not wanted: it belongs to another architecture")


def rebuild(tree: PyTree, like: PyTree) -> PyTree:
    """Put the leaves of one tree into the containers of another tree with the same leaf names.

    Example:
      >>> from lpjax.types import Variables
      >>> rebuild({'stats': 2, 'params': 1}, like=Variables(params=0, stats=0))
      Variables(params=1, stats=2)
    """
    leaves = named_leaves(tree)
    return jax.tree.unflatten(jax.tree.structure(like), [leaves[name] for name in named_leaves(like)])


def dtype_of(leaf: Any) -> np.dtype:
    """Return the dtype of an array, a shape or a number."""
    if hasattr(leaf, "dtype"):
        return np.dtype(leaf.dtype)
    return np.asarray(leaf).dtype
