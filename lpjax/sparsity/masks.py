"""Masks: which weights live, counted exactly.

A mask is total: it has the structure of the parameters, a leaf of the parameter's shape where weights may be pruned,
and a scalar `True` where they may not. So one `jax.tree.map` serves every leaf and nothing branches on `None`.
"""

import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

PyTree = Any
Prunable = Callable[[str, jax.Array], bool]
"""A predicate of a parameter's path (`'layer1/conv/kernel'`) and the parameter itself."""


def convolution_kernels(path: str, leaf: jax.Array) -> bool:
    """Accepts convolution kernels, the originals' choice.

    Args:
      path: The parameter's path, which does not matter.
      leaf: The parameter.

    Returns:
      Whether it has three or more axes, as in `[kh, kw, in, out]`.
    """
    del path
    return leaf.ndim >= 3


def kernels(path: str, leaf: jax.Array) -> bool:
    """Accepts every kernel, convolutions and dense layers alike.

    Args:
      path: The parameter's path, which does not matter.
      leaf: The parameter.

    Returns:
      Whether it has two or more axes.
    """
    del path
    return leaf.ndim >= 2


def by_path(pattern: str) -> Prunable:
    """Accepts parameters whose path holds a match of a regular expression.

    Args:
      pattern: Searched for in paths such as `'layer1/conv/kernel'`.

    Returns:
      A predicate for `full_mask`.

    Example:
      >>> by_path('^layer1/')('layer1/conv/kernel', jnp.zeros((3, 3, 4, 4)))
      True
    """
    compiled = re.compile(pattern)
    return lambda path, leaf: leaf.ndim > 0 and compiled.search(path) is not None


def full_mask(params: PyTree, prunable: Prunable = convolution_kernels) -> PyTree:
    """Builds the mask of the dense network.

    Args:
      params: Parameters, or their shapes (`jax.ShapeDtypeStruct`).
      prunable: Which parameters may be pruned.

    Returns:
      A bool tree: all `True`, of the parameter's shape where prunable, scalar elsewhere.

    Raises:
      ValueError: If nothing is prunable.

    Example:
      >>> mask = full_mask({'kernel': jnp.zeros((3, 3, 1, 4)), 'bias': jnp.zeros(4)})
      >>> mask['kernel'].shape, mask['bias'].shape
      ((3, 3, 1, 4), ())
    """

    def leaf_mask(path: Any, leaf: jax.Array) -> jax.Array:
        return jnp.ones(leaf.shape if prunable(leaf_name(path), leaf) else (), bool)

    mask = jax.tree_util.tree_map_with_path(leaf_mask, params)
    if not total(mask):
        raise ValueError(f"no prunable parameter among {len(jax.tree.leaves(params))}; choose another `prunable`")
    return mask


def leaf_name(path: Any) -> str:
    """Writes a tree path as names joined by slashes.

    Args:
      path: As `jax.tree_util.tree_map_with_path` hands it out.

    Returns:
      A name such as `'layer1/conv/kernel'`.
    """
    return jax.tree_util.keystr(path, simple=True, separator="/")


def apply_mask(params: PyTree, mask: PyTree) -> PyTree:
    """Zeroes what the mask leaves out: `where(mask, params, 0)`.

    Args:
      params: Parameters, or anything of their structure (gradients, updates).
      mask: A total mask.

    Returns:
      The masked tree, dtypes unchanged.

    Example:
      >>> apply_mask({'w': jnp.array([1.0, 2.0])}, {'w': jnp.array([True, False])})['w'].tolist()
      [1.0, 0.0]
    """
    return jax.tree.map(lambda m, p: jnp.where(m, p, jnp.zeros((), p.dtype)), mask, params)


def ensure_fits(mask: PyTree, params: PyTree) -> None:
    """Refuses a mask that is not of these parameters.

    Args:
      mask: A total mask.
      params: Parameters.

    Raises:
      ValueError: If structures or shapes differ, naming the first leaf that does.
    """
    given, wanted = (
        {leaf_name(path): jnp.shape(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}
        for tree in (mask, params)
    )
    for name in {**wanted, **given}:
        if name not in given or name not in wanted or given[name] not in ((), wanted[name]):
            ours, theirs = (f"has shape {tree[name]}" if name in tree else "is absent" for tree in (given, wanted))
            raise ValueError(
                f"the mask of {name!r} {ours}, the parameter {theirs}; make a mask of these parameters, with full_mask"
            )


def kept(mask: PyTree) -> jax.Array:
    """Counts the prunable weights that live.

    Args:
      mask: A total mask.

    Returns:
      An int32 scalar; exact below 2**31 weights.

    Example:
      >>> int(kept({'w': jnp.array([True, False]), 'b': jnp.array(True)}))
      1
    """
    return jnp.asarray(sum(jax.tree.leaves(kept_per_leaf(mask))), jnp.int32)


def kept_per_leaf(mask: PyTree) -> PyTree:
    """Counts the prunable weights that live, leaf by leaf.

    Args:
      mask: A total mask.

    Returns:
      A tree of int32 scalars; 0 where the mask is scalar.

    Example:
      >>> jax.tree.map(int, kept_per_leaf({'w': jnp.array([True, False]), 'b': jnp.array(True)}))
      {'b': 0, 'w': 1}
    """
    return jax.tree.map(lambda m: jnp.sum(m, dtype=jnp.int32) if jnp.ndim(m) else jnp.zeros((), jnp.int32), mask)


def total(mask: PyTree) -> int:
    """Counts the prunable weights, living or not.

    Args:
      mask: A total mask.

    Returns:
      A Python integer: shapes are static.

    Example:
      >>> total({'w': jnp.array([True, False]), 'b': jnp.array(True)})
      2
    """
    return sum(jnp.size(m) for m in jax.tree.leaves(mask) if jnp.ndim(m))


def density(mask: PyTree) -> float:
    """Divides `kept` by `total`; outside jit.

    Args:
      mask: A total mask.

    Returns:
      A fraction in [0, 1].

    Example:
      >>> density({'w': jnp.array([True, False])})
      0.5
    """
    return int(kept(mask)) / total(mask)
