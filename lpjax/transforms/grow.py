"""Grow rules: which weights a mask update activates. Functions `update -> scores`; the highest grow."""

from typing import Any

import jax
import jax.numpy as jnp

from lpjax import sparsity
from lpjax.transforms.mask_update import MaskUpdate

PyTree = Any


def by_gradient(update: MaskUpdate) -> PyTree:
    """Grow where the dense gradient is largest, by `|g|`.

    Args:
      update: Dense gradients.

    Returns:
      Scores.

    References:
      Evci et al., Rigging the Lottery, ICML 2020, section 3.
    """
    return sparsity.gradient(update.grads)


def by_average(update: MaskUpdate) -> PyTree:
    """Grow where the average of dense gradients is largest in size.

    Args:
      update: Averaged dense gradients.

    Returns:
      Scores.

    References:
      Dettmers and Zettlemoyer, Sparse Networks from Scratch, 2019, section 3.2.
    """
    return sparsity.gradient(update.average)


def random_growth(update: MaskUpdate) -> PyTree:
    """Grow at random, all inactive weights with the same probability.

    Args:
      update: Its key.

    Returns:
      Scores.

    References:
      Mocanu et al., Nature Communications 2018.
    """
    return sparsity.random(update.key, update.params)


def prefer_unexplored(update: MaskUpdate) -> PyTree:
    """Grow at random among weights that were never kept, and elsewhere only once none of these is left.

    Args:
      update: Its key, and what was explored.

    Returns:
      Scores.

    References:
      Liu et al., Do We Actually Need Dense Over-Parameterization?, ICML 2021.
    """

    def add_one_if_unexplored(draw: jax.Array, explored: jax.Array) -> jax.Array:
        return draw + jnp.where(explored, 0.0, 1.0).astype(draw.dtype)

    return jax.tree.map(add_one_if_unexplored, sparsity.random(update.key, update.params), update.explored)
