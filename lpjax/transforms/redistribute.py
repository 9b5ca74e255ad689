"""Redistribution rules: how many weights grow in which leaf. Functions `(update, freed, room) -> counts`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lpjax import sparsity
from lpjax.transforms.mask_update import MaskUpdate

PyTree = Any


def as_dropped(update: MaskUpdate, dropped: PyTree, capacity: PyTree) -> PyTree:
    """Let every leaf grow as many weights as it dropped.

    Args:
      update: Ignored.
      dropped: Integers, what each leaf (or layer) dropped.
      capacity: Ignored: what was dropped can grow.

    Returns:
      Integers, what each leaf grows.
    """
    del update, capacity
    return dropped


def by_survivors(update: MaskUpdate, dropped: PyTree, capacity: PyTree) -> PyTree:
    """Let leaves grow in proportion to what survived in them.

    Args:
      update: The survivors' mask.
      dropped: Integers, what each leaf dropped.
      capacity: Integers, inactive weights of each leaf.

    Returns:
      Integers of the same sum.

    References:
      Mostafa and Wang, Parameter Efficient Training of Deep Convolutional Neural Networks, ICML 2019, Algorithm 1.
    """
    survivors = sparsity.kept_per_leaf(update.mask, update.prunable, update.stacked)
    weights = jax.tree.map(lambda count: count.astype(jnp.float32), survivors)
    return _apportion(dropped, weights, capacity)


def by_momentum(update: MaskUpdate, dropped: PyTree, capacity: PyTree) -> PyTree:
    """Let leaves grow in proportion to the mean size of the averaged gradient at their survivors.

    Args:
      update: The survivors' mask and averaged gradients.
      dropped: Integers, what each leaf dropped.
      capacity: Integers, inactive weights of each leaf; what a leaf cannot hold goes to the others.

    Returns:
      Integers of the same sum.

    References:
      Dettmers and Zettlemoyer, Sparse Networks from Scratch, 2019, section 3.1.
    """

    def mean_size(average: jax.Array, mask: jax.Array, survivors: jax.Array, prunable: bool) -> jax.Array:
        if not prunable:
            return jnp.zeros((), jnp.float32)
        axes = tuple(range(survivors.ndim, mask.ndim))
        sizes = jnp.sum(jnp.where(mask, jnp.abs(average.astype(jnp.float32)), jnp.float32(0)), axis=axes)
        return jnp.where(survivors > 0, sizes / jnp.maximum(survivors, 1).astype(jnp.float32), jnp.float32(0))

    survivors = sparsity.kept_per_leaf(update.mask, update.prunable, update.stacked)
    weights = jax.tree.map(mean_size, update.average, update.mask, survivors, update.prunable)
    return _apportion(dropped, weights, capacity)


def _apportion(dropped: PyTree, weights: PyTree, capacity: PyTree) -> PyTree:
    """Share all that was dropped among the leaves (or layers) in proportion to weights."""
    leaves, treedef = jax.tree.flatten(dropped)
    flat_weights = jnp.concatenate([jnp.ravel(weight) for weight in jax.tree.leaves(weights)])
    flat_capacity = jnp.concatenate([jnp.ravel(number) for number in jax.tree.leaves(capacity)])
    counts = sparsity.apportion(sum(jnp.sum(leaf) for leaf in leaves), flat_weights, flat_capacity)
    ends = np.cumsum([leaf.size for leaf in leaves])
    parts = jnp.split(counts, ends[:-1])
    return jax.tree.unflatten(treedef, [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)])
