"""Allocation: how a budget of weights is shared among the leaves."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lpjax.sparsity.prunable import Prunable, Stacked, as_tree, kernels, prunable_leaves, stacked_axes

PyTree = Any


def uniform(
    params: PyTree, density: float, *, prunable: Prunable = kernels, stacked: Stacked = None, min_kept: int = 0
) -> PyTree:
    """Give every leaf the same density.

    Args:
      params: Parameters, their shapes, or a mask: only shapes matter.
      density: In [0, 1].
      prunable: Which leaves share the budget.
      stacked: How many leading axes of a leaf index layers; every layer has a count of its own.
      min_kept: Weights that every leaf (or layer) keeps at least, capped at its size; taken from the other leaves.

    Returns:
      A tree of integers, or arrays `[layers]` for stacked leaves, adding up to `round(density * total)`; 0 where a leaf
      is not prunable.

    Raises:
      ValueError: If the density is out of range, too small for `min_kept`, or no leaf is prunable.

    Example:
      >>> uniform({'v': np.ones((1, 10)), 'w': np.ones((2, 5)), 'bias': np.ones(5)}, 0.25)
      {'bias': 0, 'v': 3, 'w': 2}
    """
    return _counts(params, density, prunable, stacked, min_kept, lambda shapes: np.full(len(shapes), density))


def erk(
    params: PyTree,
    density: float,
    power: float = 1.0,
    *,
    prunable: Prunable = kernels,
    stacked: Stacked = None,
    min_kept: int = 0,
) -> PyTree:
    """Give leaves densities by the Erdős-Rényi-kernel rule, so that small layers stay denser.

    `d_l = min(1, ε q_l)` with `q_l = (Σ shape_l / Π shape_l) ** power`; ε makes the counts add up. Layers that would
    exceed 1 are made dense, those of the largest `q_l` first, and ε is solved again for the others.

    Args:
      params: Parameters, their shapes, or a mask: only shapes matter.
      density: In [0, 1].
      power: Exponent of the raw probability; 0 is uniform.
      prunable: Which leaves share the budget.
      stacked: How many leading axes of a leaf index layers; every layer has a count of its own.
      min_kept: Weights that every leaf (or layer) keeps at least, capped at its size; taken from the other leaves.

    Returns:
      A tree of integers, or arrays `[layers]` for stacked leaves, adding up to `round(density * total)`; 0 where a leaf
      is not prunable.

    Raises:
      ValueError: If the density is out of range, too small for `min_kept`, or no leaf is prunable.

    Example:
      >>> erk({'v': np.ones((3, 3, 3, 64), bool), 'w': np.ones((3, 3, 64, 128), bool)}, 0.1)
      {'v': 1728, 'w': 5818}

    References:
      Evci et al., Rigging the Lottery, ICML 2020, section 3; Mocanu et al., Nature Communications 2018.
    """
    return _counts(params, density, prunable, stacked, min_kept, lambda shapes: _erk_densities(shapes, density, power))


def apportion(count: jax.Array | int, weights: jax.Array, capacity: jax.Array) -> jax.Array:
    """Share a count in proportion to weights `[L]`; what exceeds a leaf's capacity `[L]` goes to the others alike.

    Leaves are served in the order in which they would fill up, each with its rounded share of what is left. If all
    weights are 0, the capacities take their place. The count is at most their sum.

    Example:
      >>> apportion(10, jnp.array([3.0, 1.0, 1.0]), jnp.array([2, 9, 9])).tolist()
      [2, 4, 4]
    """
    weights = jnp.where(capacity > 0, weights, jnp.float32(0))
    weights = jnp.where(jnp.any(weights > 0), weights, capacity.astype(jnp.float32))
    order = jnp.argsort(-weights / jnp.maximum(capacity, 1).astype(jnp.float32), stable=True)
    weights_left = lax.cumsum(weights[order], reverse=True)
    capacity_after = lax.cumsum(capacity[order], reverse=True) - capacity[order]

    def serve(left: jax.Array, leaf: tuple[jax.Array, ...]) -> tuple[jax.Array, jax.Array]:
        weight, weight_left, holds, others_hold = leaf
        share = weight / jnp.where(weight_left > 0, weight_left, jnp.float32(1))
        wanted = jnp.round(share * left.astype(jnp.float32)).astype(jnp.int32)
        served = jnp.clip(wanted, jnp.maximum(left - others_hold, 0), jnp.minimum(holds, left))
        return left - served, served

    leaves = (weights[order], weights_left, capacity[order], capacity_after)
    start = jnp.asarray(count, jnp.int32) + (capacity[0] - capacity[0])  # varies over mapped axes as capacity does
    _, served = lax.scan(serve, start, leaves)
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


def _counts(
    params: PyTree,
    density: float,
    prunable: Prunable,
    stacked: Stacked,
    min_kept: int,
    densities: Callable[[list[tuple[int, ...]]], np.ndarray],
) -> PyTree:
    """Share the budget by what `densities` returns for the shapes of all layers; a stacked leaf has several."""
    if not 0 <= density <= 1:
        raise ValueError(f"density: got {density}, expected a fraction in [0, 1]")
    stacks = []  # of every leaf, the shape of its axes that index layers; None where it is not prunable
    layers: list[tuple[int, ...]] = []
    chosen = prunable_leaves(params, prunable)
    for leaf, counted, axes in zip(jax.tree.leaves(params), chosen, stacked_axes(params, stacked), strict=True):
        shape = np.shape(leaf)
        stacks.append(shape[:axes] if counted else None)
        if counted:
            layers += [shape[axes:]] * math.prod(shape[:axes])
    sizes = np.array([math.prod(shape) for shape in layers])
    budget = round(density * int(sizes.sum()))
    counts = _largest_remainder(densities(layers) * sizes, sizes, budget)
    counts = _at_least(counts, np.minimum(sizes, min_kept), budget)
    values: list[Any] = []
    start = 0
    for stack in stacks:
        if stack is None:
            values.append(0)
            continue
        stop = start + math.prod(stack)
        values.append(counts[start:stop].reshape(stack) if stack else int(counts[start]))
        start = stop
    return as_tree(values, params)


def _largest_remainder(shares: np.ndarray, sizes: np.ndarray, budget: int) -> np.ndarray:
    """Round shares to integers of the given sum: floors first, then one more each by largest remainder."""
    counts = np.minimum(np.floor(shares + 1e-9), sizes).astype(int)
    by_remainder = np.argsort(-(shares - counts), kind="stable")
    while (missing := budget - counts.sum()) > 0:
        open_leaves = by_remainder[counts[by_remainder] < sizes[by_remainder]]
        counts[open_leaves[:missing]] += 1
    return counts


def _at_least(counts: np.ndarray, floors: np.ndarray, budget: int) -> np.ndarray:
    """Raise counts to their floors, and take what that costs from the others in proportion to what they can spare."""
    if floors.sum() > budget:
        raise ValueError(f"min_kept: the leaves keep {floors.sum()} weights at least, more than the density's {budget}")
    raised = np.maximum(counts, floors)
    excess = int(raised.sum() - budget)
    if not excess:
        return raised
    spare = raised - floors
    return raised - _largest_remainder(spare * (excess / spare.sum()), spare, excess)
