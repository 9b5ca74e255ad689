"""Scores: how much a weight matters. Weights with the lowest scores are pruned."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

PyTree = Any


def magnitude(params: PyTree) -> PyTree:
    """Score a weight by its size, `|w|`.

    Args:
      params: Parameters.

    Returns:
      A tree of non-negative scores.

    Example:
      >>> magnitude({'w': jnp.array([-2.0, 1.0])})['w'].tolist()
      [2.0, 1.0]

    References:
      Han et al., Learning both Weights and Connections for Efficient Neural Networks, NeurIPS 2015.
    """
    return jax.tree.map(jnp.abs, params)


def random(key: jax.Array, params: PyTree) -> PyTree:
    """Score a weight by a draw from U[0, 1).

    Args:
      key: A PRNG key, consumed.
      params: Parameters; only their shapes matter.

    Returns:
      A tree of float32 scores.

    Example:
      >>> random(jax.random.key(0), {'w': jnp.zeros((2, 3))})['w'].shape
      (2, 3)
    """
    leaves, treedef = jax.tree.flatten(params)
    ends = np.cumsum([leaf.size for leaf in leaves])
    draws = jnp.split(jax.random.uniform(key, (int(ends[-1]),), jnp.float32), ends[:-1])  # one program for all leaves
    scores = [draw.reshape(leaf.shape) for draw, leaf in zip(draws, leaves, strict=True)]
    return jax.tree.unflatten(treedef, scores)


def gradient(grads: PyTree) -> PyTree:
    """Score a weight by the size of its gradient, `|g|`.

    Args:
      grads: Gradients with respect to already masked parameters, so that they are dense: weights outside
        the mask have one too.

    Returns:
      A tree of non-negative scores.

    Example:
      >>> gradient({'w': jnp.array([-2.0, 1.0])})['w'].tolist()
      [2.0, 1.0]

    References:
      Evci et al., Rigging the Lottery, ICML 2020.
    """
    return jax.tree.map(jnp.abs, grads)


def saliency(params: PyTree, grads: PyTree) -> PyTree:
    """Score a weight by what its removal changes to first order, `|g * w|`.

    Args:
      params: Parameters.
      grads: Gradients of the loss with respect to them.

    Returns:
      A tree of non-negative scores.

    Example:
      >>> saliency({'w': jnp.array([2.0])}, {'w': jnp.array([-3.0])})['w'].tolist()
      [6.0]

    References:
      Lee et al., SNIP: Single-shot Network Pruning based on Connection Sensitivity, ICLR 2019, Eq. 4.
    """
    return jax.tree.map(lambda p, g: jnp.abs(p * g), params, grads)
