"""Pruning before training: the first gradient chooses the mask."""

# ruff: noqa: D417 (arguments that all methods share have one line, as tests/laws/test_docstrings.py allows)

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from lpjax import sparsity
from lpjax.transforms.drop import smallest
from lpjax.transforms.dynamic_sparse import Drop, DynamicSparseState, Grow, dynamic_sparse
from lpjax.transforms.fixed_mask import project, require_params, reset_moments

PyTree = Any


def snip(
    inner: optax.GradientTransformation,
    density: float,
    *,
    score: Callable[[PyTree, PyTree], PyTree] = sparsity.saliency,
    prunable: sparsity.Prunable = sparsity.kernels,
    min_kept: int = 0,
    extra_updates: Sequence[int] = (),
    drop: Drop = smallest,
    drop_fraction: float | optax.Schedule = 0.3,
    grow: Grow | None = None,
    stacked: sparsity.Stacked = None,
    key: jax.Array | int = 0,
) -> optax.GradientTransformationExtraArgs:
    """Keep the weights whose removal would change the first batch's loss most, `|g w|` over the whole tree.

    The first update spends its batch on the mask alone: kept weights do not move, and the optimizer's state, its
    schedule included, waits. Give it the dense network's gradients, as a plain loop does.

    Args:
      score: `(params, grads) -> scores`, free of NaN.
      drop, drop_fraction, grow: For `extra_updates` alone, which need `grow`.
      inner, density, prunable, min_kept, extra_updates, stacked, key: As for `dynamic_sparse`.

    Returns:
      A transform with the state of `dynamic_sparse`; `step` stands at -1 until the mask is chosen.

    Example:
      >>> params = {'w': jnp.array([[0.5, -1.0], [2.0, 0.1]])}
      >>> tx = snip(optax.sgd(0.1), 0.5)
      >>> _, state = tx.update({'w': jnp.array([[1.0, -0.2], [0.05, 4.0]])}, tx.init(params), params)
      >>> state.mask['w'].tolist()
      [[True, False], [False, True]]

    References:
      Lee et al., SNIP: Single-shot Network Pruning based on Connection Sensitivity, ICLR 2019, Algorithm 1.
    """
    choices: dict[str, Any] = {
        "prunable": prunable,
        "stacked": stacked,
        "min_kept": min_kept,
        "extra_updates": extra_updates,
        "drop": drop,
        "drop_fraction": drop_fraction,
        "grow": grow,
        "key": key,
    }
    engine = dynamic_sparse(inner, density, **choices)
    dense = dynamic_sparse(inner, 1.0, **choices)
    optimizer = optax.with_extra_args_support(inner)

    def init(params: PyTree) -> DynamicSparseState:
        if jax.tree.leaves(params):
            number = sparsity.total(params, prunable)
            if not round(density * number):
                raise ValueError(f"density: got {density} of {number} weights, which keeps none")
        state = dense.init(params)
        return state._replace(step=state.step - 1)

    def update(
        grads: PyTree, state: DynamicSparseState, params: PyTree | None = None, **extra: Any
    ) -> tuple[Any, DynamicSparseState]:
        params = require_params(params, grads)

        def choose() -> PyTree:
            count = round(density * sparsity.total(params, prunable))
            scores = score(params, grads)
            return sparsity.select(scores, state.mask, count, prunable, stacked=stacked, min_kept=min_kept)

        choosing = state.step < 0
        mask = lax.cond(choosing, choose, lambda: state.mask)
        updates, moved = engine.update(grads, state._replace(mask=mask), params, **extra)
        masked = sparsity.apply_mask(params, mask)
        still_updates = project(jax.tree.map(jnp.zeros_like, params), params, mask)
        still_moments = reset_moments(optimizer, state.inner, mask, masked)
        updates = optax.tree.where(choosing, still_updates, updates)
        moments = optax.tree.where(choosing, still_moments, moved.inner)
        return updates, moved._replace(inner=moments)

    return optax.GradientTransformationExtraArgs(init, update)
