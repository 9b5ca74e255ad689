"""What the rules of a mask change see."""

from typing import Any, NamedTuple

import jax

PyTree = Any


class View(NamedTuple):
    """What rules see when masks change.

    Attributes:
      params: Parameters after the optimizer's step, zero outside the mask.
      grads: Dense gradients of the same step, with respect to the parameters before it.
      average: Exponential average of dense gradients; `()` unless the engine was asked to keep one.
      mask: What lives; after the drop, what survived it.
      explored: What has ever lived.
      key: A PRNG key of this change's own.
    """

    params: PyTree
    grads: PyTree
    average: PyTree
    mask: PyTree
    explored: PyTree
    key: jax.Array
