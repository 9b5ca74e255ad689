"""Finds the mask in the state of any optimizer that holds one."""

from typing import Any

import jax
import optax

from lpjax.transforms.evolve import EvolveState
from lpjax.transforms.hold import HoldState

PyTree = Any


def mask_of(state: optax.OptState) -> PyTree:
    """Finds the mask, however deep it lies in chains and wrappers.

    Args:
      state: Of an optimizer that holds `hold` or `evolve`. Of replicates that `vmap` trains take one first,
        `jax.tree.map(lambda leaf: leaf[0], state)`: counts tell weights from others by the number of axes.

    Returns:
      The mask of the outermost of them, a total bool tree.

    Raises:
      ValueError: If there is none.

    Example:
      >>> import jax.numpy as jnp
      >>> from lpjax.transforms import rigl
      >>> tx = optax.chain(optax.clip(1.0), rigl(optax.adam(1e-3), 0.25, every=100, until=7500))
      >>> int(mask_of(tx.init({'w': jnp.ones((4, 5))}))['w'].sum())
      5
    """
    return _sparse(state, (HoldState, EvolveState)).mask


def explored_of(state: optax.OptState) -> PyTree:
    """Finds the union of all masks that training has gone through.

    Args:
      state: Of an optimizer that holds `evolve`.

    Returns:
      A tree like the mask.

    Raises:
      ValueError: If there is none.

    References:
      Liu et al., Do We Actually Need Dense Over-Parameterization?, ICML 2021: its share is the exploration rate R_s.
    """
    return _sparse(state, (EvolveState,)).explored


def _sparse(state: optax.OptState, kinds: tuple[type, ...]) -> Any:
    nodes = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, kinds))
    found = next((node for node in nodes if isinstance(node, kinds)), None)
    if found is None:
        wanted = "mask that changes" if kinds == (EvolveState,) else "mask"
        raise ValueError(f"this optimizer's state holds no {wanted}; wrap the optimizer in one of lpjax's transforms")
    return found
