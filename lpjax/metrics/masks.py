"""Overlap of two masks, and the fraction of weights that masks have explored."""

from typing import Any

import jax
import jax.numpy as jnp

from lpjax import sparsity

PyTree = Any


def mask_overlap(mask: PyTree, other: PyTree, prunable: sparsity.Prunable = sparsity.kernels) -> float:
    """Compute the Jaccard index of two masks, `|m & n| / |m | n|`; not jittable.

    Args:
      mask: A bool tree.
      other: A mask of the same structure and shapes.
      prunable: Which leaves count.

    Returns:
      A fraction in [0, 1], over prunable weights; 1 if neither mask keeps any.

    Raises:
      ValueError: If structures or shapes differ.

    Example:
      >>> mask_overlap({'w': jnp.array([[True, True, False]])}, {'w': jnp.array([[False, True, True]])})  # 1 of 3
      0.3333333333333333

    References:
      Jaccard, New Phytologist 1912.
    """
    if _shapes(mask) != _shapes(other):
        raise ValueError("mask, other: got different structures or shapes, expected masks of one network")
    both = int(sparsity.kept(jax.tree.map(jnp.logical_and, mask, other), prunable))
    either = int(sparsity.kept(jax.tree.map(jnp.logical_or, mask, other), prunable))
    if not either:
        return 1.0
    return both / either


def exploration_rate(explored: PyTree, prunable: sparsity.Prunable = sparsity.kernels) -> float:
    """Compute the fraction of prunable weights that were ever in a mask, `R_s = |union_t m_t| / total`; not jittable.

    Args:
      explored: The union of all masks so far, from `lpjax.get_explored(opt_state)`.
      prunable: Which leaves count.

    Returns:
      A fraction in [0, 1].

    Example:
      >>> exploration_rate({'w': jnp.array([[True, True, False, True]]), 'b': jnp.ones(4, bool)})
      0.75

    References:
      Liu et al., Do We Actually Need Dense Over-Parameterization? In-Time Over-Parameterization, ICML 2021.
    """
    return sparsity.density(explored, prunable)


def _shapes(mask: PyTree) -> dict[str, tuple[int, ...]]:
    return {name: jnp.shape(leaf) for name, leaf in sparsity.named_leaves(mask).items()}
