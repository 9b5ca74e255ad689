"""Which leaves may be pruned: predicates of a leaf's path and shape.

Every function of the library that counts or prunes weights takes `prunable`, with the one default `kernels`: the
kernels of matrix products and convolutions. A mask mirrors the parameters, so the same predicate applied to either
tree selects the same leaves.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from lpjax.sparsity.names import leaf_names

PyTree = Any
Predicate = Callable[[str, Any], bool]
"""`(path, leaf) -> bool`, where the leaf has `shape`, `ndim` and `dtype`, and the path is `'layer1/conv/kernel'`."""

Prunable = Predicate | PyTree
"""A predicate, or a tree of Python bools with the structure of the parameters."""

Stacked = Callable[[str, Any], int] | PyTree | None
"""How many leading axes of a leaf index layers: a predicate (True is 1), a tree of integers, or None for no axis."""

_ALWAYS = {"kernel", "lora_a", "lora_b"}  # Flax uses these names for nothing else
_KERNEL_NAMES = {"weight", "weights"}
_COLLECTIONS = {"batch_stats", "stats", "cache", "intermediates", "losses"}  # of a linen variables dict, or of lpjax's
_NEVER = {"norm", "layernorm", "batchnorm", "groupnorm", "rmsnorm", "instancenorm", "ln", "bn", "gn"}
_NEVER |= {"embed", "embeds", "embedding", "embeddings", "embedder", "emb", "wte", "wpe"}
_NO_KERNEL = {"b", "bias", "biases", "scale", "scales", "gain", "gamma", "beta", "offset", "shift", "alpha"}
_NO_KERNEL |= {"pos", "position", "positions", "positional", "cls", "token", "tokens", "register", "registers"}
_NO_KERNEL |= {"mean", "var", "variance", "std", "temperature"}
_ATTENTION = {"query", "key", "value", "out", "qkv"}


def kernels(path: str, leaf: Any) -> bool:
    """Accept the kernels of matrix products and convolutions: what is pruned by default.

    A leaf is a kernel if it has two axes or more and its path does not say otherwise. Biases, scales, normalization
    layers, embeddings, class tokens, positions and batch statistics are not kernels, however many axes they have (as
    attention biases `[heads, size]` and stacked layers do). `lpjax.summary(params)` lists what is accepted.

    Args:
      path: The leaf's path, such as `'block_0/attention/query/kernel'`.
      leaf: An array or its shape (`jax.ShapeDtypeStruct`).

    Returns:
      Whether the leaf is a kernel.

    Example:
      >>> kernels('attention/query/kernel', np.zeros((64, 4, 16))), kernels('attention/query/bias', np.zeros((4, 16)))
      (True, False)
    """
    shape = np.shape(leaf)
    *parents, name = path.lower().split("/")
    if len(shape) < 2 or (parents and parents[0] in _COLLECTIONS):
        return False
    if name in _ALWAYS:
        return True
    if _words(name) & (_NO_KERNEL | _NEVER):
        return False
    for parent in parents:
        if _words(parent) & _NEVER:
            return False
    if name in _KERNEL_NAMES:
        return True
    position = len(shape) > 2 and shape[0] == 1  # positions [1, N, D] and class tokens [1, 1, D] of any name
    return not position


def convolution_kernels(path: str, leaf: Any) -> bool:
    """Accept convolution kernels only: the choice of the original implementations.

    Args:
      path: The leaf's path.
      leaf: An array or its shape.

    Returns:
      Whether the leaf is a kernel of three axes or more, as in `[kh, kw, in, out]`, and not of an attention layer.

    Example:
      >>> convolution_kernels('conv/kernel', np.zeros((3, 3, 4, 8))), convolution_kernels('head/kernel', np.eye(4))
      (True, False)
    """
    parents = set(path.lower().split("/")[:-1])
    return kernels(path, leaf) and len(np.shape(leaf)) >= 3 and not parents & _ATTENTION


def all_leaves(path: str, leaf: Any) -> bool:
    """Accept every leaf that has an axis.

    Args:
      path: Ignored.
      leaf: An array or its shape.

    Returns:
      Whether the leaf has one axis or more.

    Example:
      >>> all_leaves('head/bias', np.zeros(10)), all_leaves('temperature', np.zeros(()))
      (True, False)
    """
    del path
    return len(np.shape(leaf)) > 0


def by_path(pattern: str) -> Predicate:
    """Accept leaves whose path contains a match of a regular expression.

    Args:
      pattern: Searched for in paths such as `'layer1/conv/kernel'`. In a linen variables dict (`'params/layer1/...'`)
        the path after `'params/'` is searched too, and batch statistics are never accepted.

    Returns:
      A predicate.

    Raises:
      ValueError: If the pattern is not a regular expression.

    Example:
      >>> by_path('^layer1/')('layer1/conv/kernel', np.zeros((3, 3, 4, 4)))
      True
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"pattern: got {pattern!r}, which is not a regular expression ({error})") from error

    def matches(path: str, leaf: Any) -> bool:
        if not np.ndim(leaf) or path.split("/")[0] in _COLLECTIONS:
            return False
        return bool(compiled.search(path) or compiled.search(path.removeprefix("params/")))

    return matches


def prunable_leaves(tree: PyTree, prunable: Prunable) -> list[bool]:
    """Decide for every leaf whether it may be pruned; raise `ValueError` if no leaf may be."""
    leaves = jax.tree.leaves(tree)
    chosen = [bool(value) for value in _value_of_leaves(tree, prunable, "prunable")]
    if leaves and not any(chosen):
        first = [f"{name} {np.shape(leaf)}" for name, leaf in zip(leaf_names(tree)[:4], leaves[:4], strict=True)]
        raise ValueError(
            f"prunable: none of the {len(leaves)} leaves is accepted; choose another predicate. "
            f"The first are {', '.join(first)}"
        )
    return chosen


def stacked_axes(tree: PyTree, stacked: Stacked) -> list[int]:
    """Count for every leaf the leading axes that index layers."""
    leaves = jax.tree.leaves(tree)
    if stacked is None:
        return [0] * len(leaves)
    axes = [int(value) for value in _value_of_leaves(tree, stacked, "stacked")]
    for name, leaf, number in zip(leaf_names(tree), leaves, axes, strict=True):
        if number > np.ndim(leaf):
            raise ValueError(f"stacked: got {number} axes for leaf {name!r} of shape {np.shape(leaf)}")
    return axes


def _value_of_leaves(tree: PyTree, given: Any, what: str) -> list[Any]:
    """List for every leaf what a predicate returns, or what a tree of the same leaves holds."""
    names = leaf_names(tree)
    # An Equinox module is a tree, and may be callable too.
    if callable(given) and jax.tree_util.treedef_is_leaf(jax.tree.structure(given)):
        values = []
        for name, leaf in zip(names, jax.tree.leaves(tree), strict=True):
            values.append(given(name, leaf if hasattr(leaf, "ndim") else np.asarray(leaf)))
        return values
    given_names = leaf_names(given)
    if given_names != names:
        extra = sorted(set(given_names) ^ set(names))
        raise ValueError(f"{what}: the tree's leaves differ from the parameters' in {', '.join(extra[:4]) or 'order'}")
    return jax.tree.leaves(given)


def as_tree(values: list[Any], like: PyTree) -> PyTree:
    """Put one value per leaf, in tree order, into the structure of a tree."""
    return jax.tree.unflatten(jax.tree.structure(like), values)


def choose_leaves(leaves: Sequence[Any], chosen: Sequence[bool]) -> list[Any]:
    """Return the chosen leaves, in their order."""
    return [leaf for leaf, counted in zip(leaves, chosen, strict=True) if counted]


def replace_leaves(tree: PyTree, chosen: Sequence[bool], new_leaves: Sequence[Any]) -> PyTree:
    """Put new leaves in place of the chosen ones, in their order.

    Example:
      >>> replace_leaves({'a': 1, 'b': 2, 'c': 3}, [True, False, True], [4, 5])
      {'a': 4, 'b': 2, 'c': 5}
    """
    rest = iter(new_leaves)
    leaves = []
    for leaf, counted in zip(jax.tree.leaves(tree), chosen, strict=True):
        leaves.append(next(rest) if counted else leaf)
    return as_tree(leaves, tree)


def input_axes(path: str, leaf: Any) -> tuple[int, ...] | None:
    """Find the axes of a kernel over which its matrix product sums, for the layers of Flax and Equinox.

    Axes are counted from the last: `(-2,)` for kernels `[..., in, out]`; `(-3,)` for an attention's query, key and
    value kernels `[in, heads, size]`; `(-3, -2)` for its output kernel `[heads, size, out]`; the second axis of a leaf
    called `weight`, `[out, in, ...]` as in Equinox and PyTorch. None if the leaf has fewer than two axes.

    Example:
      >>> input_axes('attention/query/kernel', np.zeros((64, 4, 16))), input_axes('head/kernel', np.zeros((64, 10)))
      ((-3,), (-2,))
    """
    ndim = len(np.shape(leaf))
    if ndim < 2:
        return None
    *parents, name = path.lower().split("/")
    if name in ("weight", "weight_ih", "weight_hh"):
        return (1 - ndim,)
    if ndim >= 3 and parents:
        if parents[-1] in ("query", "key", "value", "qkv"):
            return (-3,)
        if parents[-1] == "out":
            return (-3, -2)
    return (-2,)


def _words(name: str) -> set[str]:
    return set(re.findall(r"[a-z]+", name))
