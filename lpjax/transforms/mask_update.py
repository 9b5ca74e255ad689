"""What the rules of a mask update see."""

from typing import Any, NamedTuple

import jax

PyTree = Any


class MaskUpdate(NamedTuple):
    """The arguments of drop, grow, redistribution and prune rules.

    Attributes:
      params: Parameters after the optimizer's step, zero outside the mask.
      grads: Dense gradients of the same step, with respect to the parameters before it.
      average: Exponential average of dense gradients; `()` unless `dynamic_sparse` was given
        `average_decay`.
      mask: What is kept; after the drop, what survived it.
      explored: What has ever been kept.
      key: A PRNG key for this update alone.
      prunable: One Python bool per leaf: whether it is pruned.
      stacked: One integer per leaf: how many leading axes index layers.
      min_kept: Weights that every leaf (or layer) keeps at least.
    """

    params: PyTree
    grads: PyTree
    average: PyTree
    mask: PyTree
    explored: PyTree
    key: jax.Array
    prunable: PyTree
    stacked: PyTree
    min_kept: int = 0
