"""Pruning before training: the first gradient chooses the mask."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from lpjax import sparsity
from lpjax.transforms.evolve import EvolveState, evolve
from lpjax.transforms.hold import forget, land

PyTree = Any


def snip(
    inner: optax.GradientTransformation,
    density: float,
    *,
    score: Callable[[PyTree, PyTree], PyTree] = sparsity.saliency,
    **choices: Any,
) -> optax.GradientTransformationExtraArgs:
    """Keeps the weights whose removal would change the first batch's loss most, `|g w|` over the whole tree.

    The first update spends its batch on the mask alone: weights that live do not move, and the optimizer's state, its
    schedule included, waits. Give it the dense network's gradients, as a plain loop does.

    Args:
      inner: The optimizer, learning rate included.
      density: Share of the prunable weights that live, in (0, 1].
      score: `(params, grads) -> scores`, free of NaN.
      **choices: Of `evolve`.

    Returns:
      A transform with the state of `evolve`; `step` stands at -1 until the mask is chosen.

    Raises:
      ValueError: As `evolve`.

    Example:
      >>> params = {'w': jnp.array([[0.5, -1.0], [2.0, 0.1]])}
      >>> tx = snip(optax.sgd(0.1), 0.5)
      >>> _, state = tx.update({'w': jnp.array([[1.0, -0.2], [0.05, 4.0]])}, tx.init(params), params)
      >>> state.mask['w'].tolist()
      [[True, False], [False, True]]

    References:
      Lee et al., SNIP: Single-shot Network Pruning based on Connection Sensitivity, ICLR 2019, Algorithm 1.
    """
    engine = evolve(inner, density, **choices)
    dense = evolve(inner, 1.0, **choices)

    def init(params: PyTree) -> EvolveState:
        jax.eval_shape(engine.init, params)  # refuses a density that leaves nothing
        state = dense.init(params)
        return state._replace(step=state.step - 1)

    def update(grads: PyTree, state: EvolveState, params: PyTree | None = None, **extra: Any) -> tuple[Any, Any]:
        if params is None:
            raise ValueError("sparse training needs the parameters; call update(grads, state, params)")

        def choose() -> PyTree:
            return sparsity.select(score(params, grads), state.mask, round(density * sparsity.total(state.mask)))

        choosing = state.step < 0
        mask = lax.cond(choosing, choose, lambda: state.mask)
        explored = optax.tree.where(choosing, mask, state.explored)
        updates, moved = engine.update(grads, state._replace(mask=mask, explored=explored), params, **extra)
        still = land(jax.tree.map(jnp.zeros_like, params), params, mask), forget(inner, state.inner, mask)
        updates, moments = optax.tree.where(choosing, still, (updates, moved.inner))
        return updates, moved._replace(inner=moments)

    return optax.GradientTransformationExtraArgs(init, update)
