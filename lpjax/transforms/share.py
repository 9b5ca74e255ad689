"""Share rules: how many weights grow in which leaf. Functions `(view, freed, room) -> counts`."""

from typing import Any

import jax
import jax.numpy as jnp

from lpjax import sparsity
from lpjax.transforms.view import View

PyTree = Any


def as_dropped(view: View, freed: PyTree, room: PyTree) -> PyTree:
    """Lets every leaf grow as many weights as it dropped.

    Args:
      view: Ignored.
      freed: Integers, what each leaf dropped.
      room: Ignored: what was dropped has room.

    Returns:
      Integers, what each leaf grows.
    """
    del view, room
    return freed


def by_survivors(view: View, freed: PyTree, room: PyTree) -> PyTree:
    """Lets leaves grow in proportion to what survived in them.

    Args:
      view: The survivors' mask.
      freed: Integers, what each leaf dropped.
      room: Integers, dead weights of each leaf.

    Returns:
      Integers of the same sum.

    References:
      Mostafa and Wang, Parameter Efficient Training of Deep Convolutional Neural Networks, ICML 2019, Algorithm 1.
    """
    return _spread(freed, jax.tree.map(lambda n: n.astype(jnp.float32), sparsity.kept_per_leaf(view.mask)), room)


def by_momentum(view: View, freed: PyTree, room: PyTree) -> PyTree:
    """Lets leaves grow in proportion to the mean size of the averaged gradient at their survivors.

    Args:
      view: The survivors' mask and averaged gradients.
      freed: Integers, what each leaf dropped.
      room: Integers, dead weights of each leaf; what a leaf cannot hold goes to the others.

    Returns:
      Integers of the same sum.

    References:
      Dettmers and Zettlemoyer, Sparse Networks from Scratch, 2019, section 3.1.
    """

    def mean(average: jax.Array, mask: jax.Array) -> jax.Array:
        size = jnp.sum(jnp.where(mask, jnp.abs(average.astype(jnp.float32)), jnp.float32(0)))
        return size / jnp.maximum(jnp.sum(mask, dtype=jnp.int32), 1).astype(jnp.float32)

    return _spread(freed, jax.tree.map(mean, view.average, view.mask), room)


def _spread(freed: PyTree, weights: PyTree, room: PyTree) -> PyTree:
    leaves, treedef = jax.tree.flatten(freed)
    rooms, shares = jnp.stack(jax.tree.leaves(room)), jnp.stack(jax.tree.leaves(weights))
    return jax.tree.unflatten(treedef, list(sparsity.apportion(sum(leaves), shares, rooms)))
