"""Redistribution rules: how many weights grow in which leaf. Functions `(update, freed, room) -> counts`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lpjax import sparsity
from lpjax.transforms.mask_update import MaskUpdate

PyTree = Any


def as_dropped(update: MaskUpdate, freed: PyTree, room: PyTree) -> PyTree:
    """Let every leaf grow as many weights as it dropped.

    Args:
      update: Ignored.
      freed: Integers, what each leaf (or layer) dropped.
      room: Ignored: what was dropped has room.

    Returns:
      Integers, what each leaf grows.
    """
    del update, room
    return freed


def by_survivors(update: MaskUpdate, freed: PyTree, room: PyTree) -> PyTree:
    """Let leaves grow in proportion to what survived in them.

    Args:
      update: The survivors' mask.
      freed: Integers, what each leaf dropped.
      room: Integers, inactive weights of each leaf.

    Returns:
      Integers of the same sum.

    References:
      Mostafa and Wang, Parameter Efficient Training of Deep Convolutional Neural Networks, ICML 2019, Algorithm 1.
    """
    survivors = sparsity.kept_per_leaf(update.mask, update.prunable, update.stacked)
    return _spread(freed, jax.tree.map(lambda n: n.astype(jnp.float32), survivors), room)


def by_momentum(update: MaskUpdate, freed: PyTree, room: PyTree) -> PyTree:
    """Let leaves grow in proportion to the mean size of the averaged gradient at their survivors.

    Args:
      update: The survivors' mask and averaged gradients.
      freed: Integers, what each leaf dropped.
      room: Integers, inactive weights of each leaf; what a leaf cannot hold goes to the others.

    Returns:
      Integers of the same sum.

    References:
      Dettmers and Zettlemoyer, Sparse Networks from Scratch, 2019, section 3.1.
    """

    def mean(average: jax.Array, mask: jax.Array, survivors: jax.Array) -> jax.Array:
        over = tuple(range(survivors.ndim, mask.ndim))
        size = jnp.sum(jnp.where(mask, jnp.abs(average.astype(jnp.float32)), jnp.float32(0)), axis=over)
        return jnp.where(survivors > 0, size / jnp.maximum(survivors, 1).astype(jnp.float32), jnp.float32(0))

    def used(average: jax.Array, mask: jax.Array, survivors: jax.Array, counted: bool) -> jax.Array:
        return mean(average, mask, survivors) if counted else jnp.zeros((), jnp.float32)

    survivors = sparsity.kept_per_leaf(update.mask, update.prunable, update.stacked)
    return _spread(freed, jax.tree.map(used, update.average, update.mask, survivors, update.prunable), room)


def _spread(freed: PyTree, weights: PyTree, room: PyTree) -> PyTree:
    leaves, treedef = jax.tree.flatten(freed)
    rooms = jnp.concatenate([jnp.ravel(n) for n in jax.tree.leaves(room)])
    shares = jnp.concatenate([jnp.ravel(w) for w in jax.tree.leaves(weights)])
    counts = sparsity.apportion(sum(jnp.sum(n) for n in leaves), shares, rooms)
    ends = np.cumsum([leaf.size for leaf in leaves])
    parts = jnp.split(counts, ends[:-1])
    return jax.tree.unflatten(treedef, [part.reshape(leaf.shape) for part, leaf in zip(parts, leaves, strict=True)])
