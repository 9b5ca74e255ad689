"""Two masks compared, and how much of a network masks have visited."""

from typing import Any

import jax
import jax.numpy as jnp

from lpjax import sparsity

PyTree = Any


def mask_overlap(mask: PyTree, other: PyTree) -> float:
    """Divides the weights that live in both masks by those that live in either: Jaccard's index; outside jit.

    Args:
      mask: A total mask.
      other: A mask of the same structure and shapes.

    Returns:
      A fraction in [0, 1], over prunable weights; 1 where neither mask keeps any.

    Raises:
      ValueError: If the masks are of different networks.

    Example:
      >>> mask_overlap({'w': jnp.array([True, True, False])}, {'w': jnp.array([False, True, True])})  # 1 of 3
      0.3333333333333333

    References:
      Jaccard, New Phytologist 1912.
    """
    if _shapes(mask) != _shapes(other):
        raise ValueError("the masks belong to different networks: their structures or shapes differ")
    both = int(sparsity.kept(jax.tree.map(jnp.logical_and, mask, other)))
    either = int(sparsity.kept(jax.tree.map(jnp.logical_or, mask, other)))
    return both / either if either else 1.0


def exploration_rate(explored: PyTree) -> float:
    """Tells the share of prunable weights that have ever lived: `R_s = |union_t m_t| / total`; outside jit.

    Args:
      explored: The union of all masks so far, as `lpjax.transforms.explored_of` reads it from an optimizer's state.

    Returns:
      A fraction in [0, 1].

    Example:
      >>> exploration_rate({'w': jnp.array([True, True, False, True]), 'b': jnp.array(True)})
      0.75

    References:
      Liu et al., Do We Actually Need Dense Over-Parameterization? In-Time Over-Parameterization, ICML 2021.
    """
    return sparsity.density(explored)


def _shapes(mask: PyTree) -> dict[str, tuple[int, ...]]:
    return {name: jnp.shape(leaf) for name, leaf in sparsity.named_leaves(mask).items()}
