"""Dense to sparse: methods that prune a network while it trains."""

# ruff: noqa: D417 (arguments that all methods share have one line, as tests/laws/test_docstrings.py allows)

import warnings
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import optax

from lpjax import sparsity
from lpjax.transforms import drop as drops
from lpjax.transforms import grow as grows
from lpjax.transforms import prune as prunes
from lpjax.transforms.dynamic_sparse import Allocate, Drop, Grow, Prune, dynamic_sparse
from lpjax.transforms.mask_update import MaskUpdate

PyTree = Any


def granet(
    inner: optax.GradientTransformation,
    density: float,
    *,
    every: int = 1000,
    end: int,
    begin: int = 0,
    initial_density: float | None = None,
    until: int | None = None,
    drop_fraction: float | optax.Schedule = 0.5,
    drop: Drop = drops.smallest,
    grow: Grow = grows.by_gradient,
    prune: Prune = prunes.globally,
    mask: PyTree | None = None,
    prunable: sparsity.Prunable = sparsity.kernels,
    stacked: sparsity.Stacked = None,
    min_kept: int = 0,
    allocate: Allocate = sparsity.erk,
    extra_updates: Sequence[int] = (),
    key: jax.Array | int = 0,
) -> optax.GradientTransformationExtraArgs:
    """GraNet: prune the whole tree step by step, and regrow inside every leaf where gradients are largest.

    `d(step) = d_f + (d_i - d_f) (1 - x)³`, with `x` from 0 at `begin` to 1 at `end`,
    both rounded down to multiples of `every`.

    Args:
      density: Final share of the prunable weights that is kept, in (0, 1].
      end: Step at which the final density is reached, at least `every`.
      begin: Step at which pruning begins.
      initial_density: Share at first, in (0, 1]; by default 0.5, or the final one if that is larger. 1 is the
        dense-to-sparse variant.
      until: The last step after which weights are regrown, at least `end`; by default `end`, so that the mask stays
        from then on.
      mask: Bool tree to start from, such as a ticket's; pruning starts from its density.
      inner, every, drop_fraction, drop, grow, prune, prunable, stacked, min_kept, allocate: As for `dynamic_sparse`.
      extra_updates, key: As for `dynamic_sparse`.

    Returns:
      A transform; errors are those of `dynamic_sparse`.

    Example:
      >>> tx = granet(optax.adam(1e-3), density=0.1, every=100, end=4000)

    References:
      Liu et al., Sparse Training via Boosting Pruning Plasticity with Neuroregeneration, NeurIPS 2021.

    Departs from the paper:
      It regrows to the end of training; with `until` beyond the last step this does too.

    Departs from the authors' code:
      Theirs never runs the last pruning, so that short runs end too dense.
    """
    _ensure_end(end, every, begin, until)
    if initial_density is None and isinstance(density, int | float | np.number):
        initial_density = max(0.5, density)
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
        until=end if until is None else until,
        drop_fraction=drop_fraction,
        drop=drop,
        grow=grow,
        prune=prune,
        initial_density=initial_density,
        pruning_schedule=_cubic(begin, end, every),
        key=key,
    )


def gmp(
    inner: optax.GradientTransformation,
    density: float,
    *,
    every: int = 1000,
    end: int,
    begin: int = 0,
    until: int | None = None,
    prune: Prune = prunes.globally,
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
    """Gradual magnitude pruning: prune the dense network step by step, and grow nothing.

    `d(step) = d_f + (1 - d_f) (1 - x)³`, with `x` from 0 at `begin` to 1 at `end`,
    both rounded down to multiples of `every`.

    Args:
      density: Final share of the prunable weights that is kept, in (0, 1].
      end: Step at which the final density is reached, at least `every`.
      begin: Step at which pruning begins.
      until: The last step after which an update may happen; by default `end`, which is all that is needed.
      grow: None; with a grow rule, weights are dropped and regrown at every update.
      mask: Bool tree to start from, such as a ticket's; pruning starts from its density.
      inner, every, prune, drop, drop_fraction, prunable, stacked, min_kept, allocate: As for `dynamic_sparse`.
      extra_updates, key: As for `dynamic_sparse`.

    Returns:
      A transform; errors are those of `dynamic_sparse`.

    Example:
      >>> tx = gmp(optax.adam(1e-3), density=0.1, every=100, end=4000)

    References:
      Zhu and Gupta, To Prune, or Not to Prune, 2017.
    """
    _ensure_end(end, every, begin, until)
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
        until=end if until is None else until,
        prune=prune,
        drop=drop,
        drop_fraction=drop_fraction,
        grow=grow,
        initial_density=1.0,
        pruning_schedule=_cubic(begin, end, every),
        key=key,
    )


def n_of_m(
    inner: optax.GradientTransformation,
    density: float | None = None,
    *,
    n: int = 2,
    m: int = 4,
    end: int,
    inputs: sparsity.InputAxes = sparsity.input_axes,
    mask: PyTree | None = None,
    prunable: sparsity.Prunable = sparsity.kernels,
    stacked: sparsity.Stacked = None,
    extra_updates: Sequence[int] = (),
    drop: Drop = drops.smallest,
    drop_fraction: float | optax.Schedule = 0.3,
    grow: Grow | None = None,
    key: jax.Array | int = 0,
) -> optax.GradientTransformationExtraArgs:
    """Train dense, then keep the `n` largest of every `m` consecutive inputs of each matrix product.

    Leaves whose number of inputs `m` does not divide stay dense; a warning at `init` names them.

    Args:
      density: `n / m`, or None.
      n: Weights to keep of every group.
      m: Weights per group.
      end: Step after which the mask is made, at least 1.
      inputs: Finds the axes of a leaf that index inputs; by default for the layers of Flax and Equinox.
      mask: Bool tree to start from; by default all weights.
      drop, drop_fraction, grow: For `extra_updates` alone, which need `grow`.
      inner, prunable, stacked, extra_updates, key: As for `dynamic_sparse`.

    Returns:
      A transform; errors are those of `dynamic_sparse`.

    Raises:
      TypeError, ValueError: As `dynamic_sparse`; if `density` is not `n / m`, or `end` below 1.

    Example:
      >>> tx = n_of_m(optax.adam(1e-3), n=2, m=4, end=1000)

    References:
      Mishra et al., Accelerating Sparse Deep Neural Networks, 2021.
    """
    if not 1 <= n <= m:
        raise ValueError(f"n, m: got {n} of {m}, expected 1 <= n <= m, such as n=2, m=4")
    _ensure_end(end)
    if density is not None and abs(density - n / m) > 1e-9:
        raise ValueError(f"density: got {density}, but {n} of {m} is {n / m}; leave it out, or choose another method")

    def prune(update: MaskUpdate, count: jax.Array) -> PyTree:
        del count
        return sparsity.select_n_of_m(
            sparsity.magnitude(update.params),
            update.mask,
            n,
            m,
            prunable=update.prunable,
            stacked=update.stacked,
            inputs=inputs,
        )

    engine = dynamic_sparse(
        inner,
        n / m,
        mask=mask,
        prunable=prunable,
        stacked=stacked,
        every=end,
        until=end,
        extra_updates=extra_updates,
        drop=drop,
        drop_fraction=drop_fraction,
        grow=grow,
        prune=prune,
        initial_density=1.0,
        pruning_schedule=optax.constant_schedule(0.0),
        key=key,
    )

    def init(params: PyTree) -> optax.OptState:
        if jax.tree.leaves(params):
            dense = sparsity.ungrouped(params, m, prunable=prunable, stacked=stacked, inputs=inputs)
            if dense:
                names = ", ".join(f"{name} {shape}" for name, shape in dense.items())
                warnings.warn(f"n_of_m: {m} does not divide the inputs of {names}; they stay dense", stacklevel=2)
        return engine.init(params)

    return optax.GradientTransformationExtraArgs(init, engine.update)


def _cubic(begin: int, end: int, every: int) -> optax.Schedule:
    first = begin // every
    last = end // every
    return optax.polynomial_schedule(1.0, 0.0, 3, (last - first) * every, first * every)


def _ensure_end(end: int, every: int = 1, begin: int = 0, until: int | None = None) -> None:
    if every < 1:
        raise ValueError(f"every: got {every}, expected 1 step or more")
    if end // every <= begin // every:
        raise ValueError(f"end: got {end}, but no update happens by then; give a multiple of {every} beyond {begin}")
    if until is not None and until < end:
        raise ValueError(f"until: got {until}, but the final density is reached at {end}; give {end} or more")
