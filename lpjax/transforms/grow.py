"""Grow rules: which dead weights come to life. Functions `view -> scores`; the highest grow."""

from typing import Any

import jax
import jax.numpy as jnp

from lpjax import sparsity
from lpjax.transforms.view import View

PyTree = Any


def by_gradient(view: View) -> PyTree:
    """Grows where the loss falls fastest, by `|g|`.

    Args:
      view: Dense gradients.

    Returns:
      Scores.

    References:
      Evci et al., Rigging the Lottery, ICML 2020, section 3.
    """
    return sparsity.gradient(view.grads)


def by_average(view: View) -> PyTree:
    """Grows where gradients point one way for long, by the absolute value of their average.

    Args:
      view: Averaged dense gradients.

    Returns:
      Scores.

    References:
      Dettmers and Zettlemoyer, Sparse Networks from Scratch, 2019, section 3.2.
    """
    return sparsity.gradient(view.average)


def at_random(view: View) -> PyTree:
    """Grows anywhere, all dead weights alike.

    Args:
      view: Its key.

    Returns:
      Scores.

    References:
      Mocanu et al., Nature Communications 2018.
    """
    return sparsity.random(view.key, view.params)


def unexplored(view: View) -> PyTree:
    """Grows at random where nothing ever lived, and elsewhere only once no such place is left.

    Args:
      view: Its key, and what was explored.

    Returns:
      Scores.

    References:
      Liu et al., Do We Actually Need Dense Over-Parameterization?, ICML 2021.
    """
    draws = sparsity.random(view.key, view.params)
    return jax.tree.map(lambda d, e: d + jnp.where(e, 0.0, 1.0).astype(d.dtype), draws, view.explored)
