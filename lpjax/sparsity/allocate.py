"""Allocation: how a budget of weights is shared among the leaves."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

PyTree = Any


def uniform(mask: PyTree, density: float) -> PyTree:
    """Gives every leaf the same density.

    Args:
      mask: A total mask; only its shapes matter.
      density: In [0, 1].

    Returns:
      A tree of integer counts adding up to `round(density * total)`; 0 where the mask is scalar.

    Raises:
      ValueError: If the density is out of range.

    Example:
      >>> uniform({'a': np.ones(10, bool), 'b': np.ones((2, 5), bool)}, 0.25)
      {'a': 3, 'b': 2}
    """
    return _counts(mask, density, lambda shapes: np.full(len(shapes), density))


def erk(mask: PyTree, density: float, power: float = 1.0) -> PyTree:
    """Gives leaves densities by the Erdős-Rényi-kernel rule, so that small layers stay denser.

    `d_l = min(1, ε q_l)` with `q_l = (Σ shape_l / Π shape_l) ** power`; ε makes the counts add up. Layers that would
    exceed 1 are made dense, those of the largest `q_l` first, and ε is solved again for the others.

    Args:
      mask: A total mask; only its shapes matter.
      density: In [0, 1].
      power: Exponent of the raw probability; 0 is uniform.

    Returns:
      A tree of integer counts adding up to `round(density * total)`; 0 where the mask is scalar.

    Raises:
      ValueError: If the density is out of range.

    Example:
      >>> erk({'a': np.ones((3, 3, 3, 64), bool), 'b': np.ones((3, 3, 64, 128), bool)}, 0.1)
      {'a': 1728, 'b': 5818}

    References:
      Evci et al., Rigging the Lottery, ICML 2020, section 3; Mocanu et al., Nature Communications 2018.
    """
    return _counts(mask, density, lambda shapes: _erk_densities(shapes, density, power))


def apportion(count: jax.Array | int, weights: jax.Array, room: jax.Array) -> jax.Array:
    """Shares a count in proportion to weights; what a leaf cannot hold goes to the others, in the same proportion.

    Leaves are served in the order in which they would fill up, each with its rounded share of what is left.

    Args:
      count: To share, int32, traced or not; at most the sum of `room`.
      weights: `[L]`, float32, not negative; if all are 0, `room` takes their place.
      room: `[L]`, int32, what each leaf can hold.

    Returns:
      `[L]`, int32, with the sum `count`, nowhere above `room`.

    Example:
      >>> apportion(10, jnp.array([3.0, 1.0, 1.0]), jnp.array([2, 9, 9])).tolist()
      [2, 4, 4]
    """
    weights = jnp.where(room > 0, weights, jnp.float32(0))
    weights = jnp.where(jnp.any(weights > 0), weights, room.astype(jnp.float32))
    order = jnp.argsort(-weights / jnp.maximum(room, 1).astype(jnp.float32), stable=True)
    ahead = lax.cumsum(weights[order], reverse=True)
    room_after = lax.cumsum(room[order], reverse=True) - room[order]

    def serve(left: jax.Array, leaf: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
        weight, weight_left, holds, others_hold = leaf
        share = weight / jnp.where(weight_left > 0, weight_left, jnp.float32(1))
        wanted = jnp.round(share * left.astype(jnp.float32)).astype(jnp.int32)
        served = jnp.clip(wanted, jnp.maximum(left - others_hold, 0), jnp.minimum(holds, left))
        return left - served, served

    leaves = (weights[order], ahead, room[order], room_after)
    _, served = lax.scan(serve, jnp.asarray(count, jnp.int32), leaves)
    return jnp.zeros_like(served).at[order].set(served)


def _erk_densities(shapes: list[tuple[int, ...]], density: float, power: float) -> np.ndarray:
    sizes = np.array([np.prod(s) for s in shapes], float)
    raw = np.array([(np.sum(s) / np.prod(s)) ** power for s in shapes])
    dense = np.zeros(len(shapes), bool)
    while not dense.all():
        budget = density * sizes[~dense].sum() - (1 - density) * sizes[dense].sum()
        scale = budget / (raw * sizes)[~dense].sum()
        largest = raw[~dense].max()
        if largest * scale <= 1:
            return np.where(dense, 1.0, scale * raw)
        dense |= raw == largest
    return np.ones(len(shapes))


def _counts(mask: PyTree, density: float, densities: Any) -> PyTree:
    if not 0 <= density <= 1:
        raise ValueError(f"density {density} is out of range; give a fraction in [0, 1]")
    leaves, treedef = jax.tree.flatten(mask)
    shapes = [np.shape(m) for m in leaves if np.ndim(m)]
    sizes = np.array([np.prod(s) for s in shapes])
    counts = iter(_largest_remainder(densities(shapes) * sizes, sizes, round(density * int(sizes.sum()))))
    return jax.tree.unflatten(treedef, [int(next(counts)) if np.ndim(m) else 0 for m in leaves])


def _largest_remainder(shares: np.ndarray, sizes: np.ndarray, budget: int) -> np.ndarray:
    """Rounds shares to integers of the given sum: floors first, then one more each by largest remainder."""
    counts = np.minimum(np.floor(shares + 1e-9), sizes).astype(int)
    by_remainder = np.argsort(-(shares - counts), kind="stable")
    while (missing := budget - counts.sum()) > 0:
        open_leaves = by_remainder[counts[by_remainder] < sizes[by_remainder]]
        counts[open_leaves[:missing]] += 1
    return counts
