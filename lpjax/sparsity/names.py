"""Names of leaves, and trees compared and rebuilt by them."""

from typing import Any

import jax
import numpy as np

PyTree = Any


def leaf_name(path: Any) -> str:
    """Write a tree path as names joined by slashes.

    Args:
      path: A key path, as `jax.tree_util.tree_map_with_path` passes it.

    Returns:
      A name such as `'layer1/conv/kernel'`. The `value` attribute in which Flax NNX keeps a variable's array is left
      out, so that linen and NNX give the same names.
    """
    if len(path) > 1 and isinstance(path[-1], jax.tree_util.GetAttrKey) and path[-1].name == "value":
        path = path[:-1]
    return jax.tree_util.keystr(path, simple=True, separator="/")


def named_leaves(tree: PyTree) -> dict[str, Any]:
    """List the leaves of a tree by their full names.

    Args:
      tree: Any pytree.

    Returns:
      `{'layer1/conv/kernel': leaf, ...}` in tree order. Unlike `leaf_name`, every key of the path is kept.
    """
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def same_structure(tree: PyTree, other: PyTree) -> bool:
    """Tell whether two trees have the same containers.

    Args:
      tree: Any pytree.
      other: Another.

    Returns:
      Whether their structures are equal.
    """
    ours: Any = jax.tree.structure(tree)
    return ours == jax.tree.structure(other)


def ensure_same_shapes(tree: PyTree, like: PyTree, what: str) -> None:
    """Refuse a tree whose leaves differ from another's in name or shape. Nothing is broadcast.

    Args:
      tree: A tree of arrays, such as gradients.
      like: The tree whose structure and shapes are wanted, such as the parameters.
      what: What `tree` is called in the message.

    Raises:
      ValueError: Naming the first leaf that differs.

    Example:
      >>> ensure_same_shapes({'w': np.zeros((1, 8))}, {'w': np.zeros((8, 8))}, 'candidate')
      Traceback (most recent call last):
      ValueError: candidate: leaf 'w' has shape (1, 8), expected (8, 8)
    """
    if same_structure(tree, like):
        pairs = zip(jax.tree_util.tree_leaves_with_path(tree), jax.tree.leaves(like), strict=True)
        for (path, leaf), wanted in pairs:
            if np.shape(leaf) != np.shape(wanted):
                name = leaf_name(path)
                raise ValueError(f"{what}: leaf {name!r} has shape {np.shape(leaf)}, expected {np.shape(wanted)}")
        return
    got = {leaf_name(path): np.shape(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
    expected = {leaf_name(path): np.shape(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(like)}
    for name, shape in expected.items():
        if name not in got:
            raise ValueError(f"{what}: leaf {name!r} is missing (or None), expected an array of shape {shape}")
        if got[name] != shape:
            raise ValueError(f"{what}: leaf {name!r} has shape {got[name]}, expected {shape}")
    for name in got:
        if name not in expected:
            raise ValueError(f"{what}: got a leaf {name!r} that is not expected; the trees must have the same leaves")
    raise ValueError(
        f"{what}: got the containers {jax.tree.structure(tree)}, expected {jax.tree.structure(like)}; "
        "use the same kinds of containers in both trees"
    )


def ensure_same_structure(got: PyTree, wanted: PyTree, what: str) -> None:
    """Refuse a tree whose leaves differ from the wanted ones in name, shape or dtype.

    Containers are not compared: a dict and a NamedTuple with the same fields are equal here.

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
    ours = named_leaves(got)
    theirs = named_leaves(wanted)
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
    """Put the leaves of one tree into the containers of another tree with the same leaf names.

    Args:
      tree: The tree that holds the leaves.
      like: The tree whose containers are used.

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
