"""Sparse to sparse: methods that train at a constant density."""

# ruff: noqa: D417 (arguments that all methods share have one line, as tests/laws/test_docstrings.py allows)

from collections.abc import Sequence
from typing import Any

import jax
import optax

from lpjax import sparsity
from lpjax.transforms import drop as drops
from lpjax.transforms import grow as grows
from lpjax.transforms import redistribute as redistributions
from lpjax.transforms.dynamic_sparse import Allocate, Drop, Grow, Redistribute, dynamic_sparse

PyTree = Any


def static_sparse(
    inner: optax.GradientTransformation,
    density: float | None,
    *,
    drop: Drop = drops.smallest,
    drop_fraction: float | optax.Schedule = 0.3,
    grow: Grow | None = None,
    mask: PyTree | None = None,
    prunable: sparsity.Prunable = sparsity.kernels,
    stacked: sparsity.Stacked = None,
    min_kept: int = 0,
    allocate: Allocate = sparsity.erk,
    extra_updates: Sequence[int] = (),
    key: jax.Array | int = 0,
) -> optax.GradientTransformationExtraArgs:
    """Draw a mask at random and keep it.

    Args:
      drop, drop_fraction, grow: For `extra_updates` alone, which need `grow`.
      inner, density, mask, prunable, stacked, min_kept, allocate, extra_updates, key: As for `dynamic_sparse`.

    Returns:
      A transform; errors are those of `dynamic_sparse`.

    Example:
      >>> tx = static_sparse(optax.adam(1e-3), density=0.1, allocate=sparsity.uniform)

    References:
      Mocanu et al., Nature Communications 2018 (Erdős-Rényi); Evci et al., ICML 2020 (its kernel form).
    """
    return dynamic_sparse(
        inner,
        density,
        mask=mask,
        prunable=prunable,
        stacked=stacked,
        min_kept=min_kept,
        allocate=allocate,
        extra_updates=extra_updates,
        drop=drop,
        drop_fraction=drop_fraction,
        grow=grow,
        key=key,
    )


def sparse_evolution(
    inner: optax.GradientTransformation,
    density: float | None,
    *,
    every: int = 100,
    until: int | None = None,
    drop_fraction: float | optax.Schedule = 0.3,
    drop: Drop = drops.smallest,
    grow: Grow = grows.random_growth,
    mask: PyTree | None = None,
    prunable: sparsity.Prunable = sparsity.kernels,
    stacked: sparsity.Stacked = None,
    min_kept: int = 0,
    allocate: Allocate = sparsity.erk,
    extra_updates: Sequence[int] = (),
    key: jax.Array | int = 0,
) -> optax.GradientTransformationExtraArgs:
    """SET: drop the smallest weights of every leaf and grow as many at random.

    Args:
      inner, density, every, until, drop_fraction, drop, grow, mask, prunable, stacked: As for `dynamic_sparse`.
      min_kept, allocate, extra_updates, key: As for `dynamic_sparse`.

    Returns:
      A transform; errors are those of `dynamic_sparse`.

    Example:
      >>> tx = sparse_evolution(optax.adam(1e-3), density=0.1, every=100)

    References:
      Mocanu et al., Scalable Training of Artificial Neural Networks with Adaptive Sparse Connectivity Inspired by
      Network Science, Nature Communications 2018.

    Departs from the paper:
      It drops the smallest positive and the largest negative weights (`drop=set_rule`); later work, and this default,
      the smallest magnitudes.
    """
    return dynamic_sparse(
        inner,
        density,
        mask=mask,
        prunable=prunable,
        stacked=stacked,
        min_kept=min_kept,
        allocate=allocate,
        extra_updates=extra_updates,
        every=every,
        until=until,
        drop_fraction=drop_fraction,
        drop=drop,
        grow=grow,
        key=key,
    )


def rigl(
    inner: optax.GradientTransformation,
    density: float | None,
    *,
    every: int = 100,
    until: int,
    drop_fraction: float | optax.Schedule | None = None,
    drop: Drop = drops.smallest,
    grow: Grow = grows.by_gradient,
    mask: PyTree | None = None,
    prunable: sparsity.Prunable = sparsity.kernels,
    stacked: sparsity.Stacked = None,
    min_kept: int = 0,
    allocate: Allocate = sparsity.erk,
    extra_updates: Sequence[int] = (),
    key: jax.Array | int = 0,
) -> optax.GradientTransformationExtraArgs:
    """RigL: drop the smallest weights of every leaf and grow as many where gradients are largest.

    The drop fraction falls as `0.15 (1 + cos(π step / until))`.

    Args:
      until: The last step after which an update may happen; the paper's choice is three quarters of the training.
      drop_fraction: Share of the kept weights to drop, or a schedule of it by step; None for the cosine.
      inner, density, every, drop, grow, mask, prunable, stacked, min_kept, allocate: As for `dynamic_sparse`.
      extra_updates, key: As for `dynamic_sparse`.

    Returns:
      A transform; errors are those of `dynamic_sparse`.

    Example:
      >>> tx = rigl(optax.adam(1e-3), density=0.1, every=100, until=7500)

    References:
      Evci et al., Rigging the Lottery: Making All Tickets Winners, ICML 2020, Algorithm 1.

    Departs from the authors' code:
      Theirs updates the mask instead of taking the optimizer's step, first at step 0, and truncates counts.
    """
    if drop_fraction is None:
        drop_fraction = optax.cosine_decay_schedule(0.3, max(until, 1))
    return dynamic_sparse(
        inner,
        density,
        mask=mask,
        prunable=prunable,
        stacked=stacked,
        min_kept=min_kept,
        allocate=allocate,
        extra_updates=extra_updates,
        every=every,
        until=until,
        drop_fraction=drop_fraction,
        drop=drop,
        grow=grow,
        key=key,
    )


def itop(
    inner: optax.GradientTransformation,
    density: float | None,
    *,
    every: int = 1000,
    until: int | None = None,
    drop_fraction: float | optax.Schedule = 0.5,
    drop: Drop = drops.smallest,
    grow: Grow = grows.by_gradient,
    mask: PyTree | None = None,
    prunable: sparsity.Prunable = sparsity.kernels,
    stacked: sparsity.Stacked = None,
    min_kept: int = 0,
    allocate: Allocate = sparsity.erk,
    extra_updates: Sequence[int] = (),
    key: jax.Array | int = 0,
) -> optax.GradientTransformationExtraArgs:
    """RigL-ITOP: RigL with long intervals, half of the weights dropped at each update, and no end.

    Weights between updates have time to grow; over the training, most weights are tried once.

    Args:
      every: Steps between updates of the mask; the paper's choices are 1000 to 4000.
      inner, density, until, drop_fraction, drop, grow, mask, prunable, stacked, min_kept: As for `dynamic_sparse`.
      allocate, extra_updates, key: As for `dynamic_sparse`.

    Returns:
      A transform; `get_explored` of its state tells what was tried.

    Example:
      >>> tx = itop(optax.adam(1e-3), density=0.1, every=1000)

    References:
      Liu et al., Do We Actually Need Dense Over-Parameterization? In-Time Over-Parameterization in Sparse Training,
      ICML 2021.
    """
    return dynamic_sparse(
        inner,
        density,
        mask=mask,
        prunable=prunable,
        stacked=stacked,
        min_kept=min_kept,
        allocate=allocate,
        extra_updates=extra_updates,
        every=every,
        until=until,
        drop_fraction=drop_fraction,
        drop=drop,
        grow=grow,
        key=key,
    )


def snfs(
    inner: optax.GradientTransformation,
    density: float | None,
    *,
    every: int = 1000,
    until: int | None = None,
    drop_fraction: float | optax.Schedule = 0.5,
    drop: Drop = drops.smallest,
    grow: Grow = grows.by_average,
    redistribute: Redistribute = redistributions.by_momentum,
    average_decay: float = 0.9,
    mask: PyTree | None = None,
    prunable: sparsity.Prunable = sparsity.kernels,
    stacked: sparsity.Stacked = None,
    min_kept: int = 0,
    allocate: Allocate = sparsity.erk,
    extra_updates: Sequence[int] = (),
    key: jax.Array | int = 0,
) -> optax.GradientTransformationExtraArgs:
    """Sparse networks from scratch: grow where averaged gradients are large, most in leaves that learn most.

    Args:
      every: Steps between updates of the mask; an epoch in the paper.
      inner, density, until, drop_fraction, drop, grow, redistribute, average_decay, mask: As for `dynamic_sparse`.
      prunable, stacked, min_kept, allocate, extra_updates, key: As for `dynamic_sparse`.

    Returns:
      A transform. It keeps an average of dense gradients, as large as the parameters.

    Example:
      >>> tx = snfs(optax.adam(1e-3), density=0.1, every=100)

    References:
      Dettmers and Zettlemoyer, Sparse Networks from Scratch: Faster Training without Losing Performance, 2019.

    Departs from the paper:
      The average of gradients is kept beside the optimizer's own momentum, so that any optimizer serves.
    """
    return dynamic_sparse(
        inner,
        density,
        mask=mask,
        prunable=prunable,
        stacked=stacked,
        min_kept=min_kept,
        allocate=allocate,
        extra_updates=extra_updates,
        every=every,
        until=until,
        drop_fraction=drop_fraction,
        drop=drop,
        grow=grow,
        redistribute=redistribute,
        average_decay=average_decay,
        key=key,
    )


def dsr(
    inner: optax.GradientTransformation,
    density: float | None,
    *,
    every: int = 1000,
    until: int | None = None,
    drop_fraction: float | optax.Schedule = 0.1,
    drop: Drop = drops.smallest_global,
    grow: Grow = grows.random_growth,
    redistribute: Redistribute = redistributions.by_survivors,
    mask: PyTree | None = None,
    prunable: sparsity.Prunable = sparsity.kernels,
    stacked: sparsity.Stacked = None,
    min_kept: int = 0,
    allocate: Allocate = sparsity.uniform,
    extra_updates: Sequence[int] = (),
    key: jax.Array | int = 0,
) -> optax.GradientTransformationExtraArgs:
    """Dynamic sparse reparameterization: drop the smallest weights of the tree, regrow where many survive.

    Args:
      inner, density, every, until, drop_fraction, drop, grow, redistribute, mask, prunable: As for `dynamic_sparse`.
      stacked, min_kept, allocate, extra_updates, key: As for `dynamic_sparse`.

    Returns:
      A transform; errors are those of `dynamic_sparse`.

    Example:
      >>> tx = dsr(optax.adam(1e-3), density=0.1, every=100)

    References:
      Mostafa and Wang, Parameter Efficient Training of Deep Convolutional Neural Networks by Dynamic Sparse
      Reparameterization, ICML 2019, Algorithm 1.

    Departs from the paper:
      Its threshold is halved or doubled until about as many weights fall as wanted; here exactly that many do.
    """
    return dynamic_sparse(
        inner,
        density,
        mask=mask,
        prunable=prunable,
        stacked=stacked,
        min_kept=min_kept,
        allocate=allocate,
        extra_updates=extra_updates,
        every=every,
        until=until,
        drop_fraction=drop_fraction,
        drop=drop,
        grow=grow,
        redistribute=redistribute,
        key=key,
    )
