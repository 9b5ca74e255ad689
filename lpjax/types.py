"""Record types shared by the subpackages."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
from jax.tree_util import Partial

PyTree = Any


class Variables(NamedTuple):
    """What a network computes with.

    Attributes:
      params: Parameters, any pytree of floating-point arrays.
      stats: BatchNorm statistics (mean, biased variance), any pytree; `{}` where a network has none.
    """

    params: PyTree
    stats: PyTree


class Batch(NamedTuple):
    """Images and their labels, be it a mini-batch or a whole split.

    Attributes:
      images: `[B, H, W, C]`, uint8 in 0..255.
      labels: `[B]`, int32 in 0..classes-1.
    """

    images: jax.Array
    labels: jax.Array


class Ticket(NamedTuple):
    """A sparse network: parameters that are zero outside their mask.

    Attributes:
      params: Parameters, any pytree. A network with batch statistics hands over all its variables.
      mask: Bool tree that mirrors `params`, all `True` in leaves that are never pruned.

    Example:
      >>> weights = jax.numpy.array([[0.0, 2.0]])
      >>> Ticket(params={'w': weights}, mask={'w': weights != 0}).mask['w'].tolist()
      [[False, True]]
    """

    params: PyTree
    mask: PyTree


class Apply(Protocol):
    """A network as a pure function.

    With `train=True` the second value holds the **statistics of this batch alone** (mean and biased variance), not a
    running average: training averages them exponentially, recalibration averages them equally.
    With `train=False` it is `variables.stats`, unchanged.
    """

    def __call__(
        self, variables: Variables, images: jax.Array, *, train: bool = False, axis_name: str | None = None
    ) -> tuple[jax.Array, PyTree]:
        """Computes the logits of a batch.

        Args:
          variables: Parameters and statistics.
          images: `[B, H, W, C]`, floating point, normalized.
          train: Normalize with the batch's own statistics.
          axis_name: The mapped axis over which the batch is spread; statistics are then the global batch's.

        Returns:
          `(logits [B, classes], statistics)`.
        """
        ...


Preprocess = Callable[[jax.Array], jax.Array]
"""Images uint8 `[B, H, W, C]` to normalized floating point."""

Augment = Callable[[jax.Array, jax.Array], jax.Array]
"""One key an image `[B]` and images uint8 `[B, H, W, C]`, to augmented and normalized floating point."""


def as_partial(function: Callable[..., Any]) -> Partial:
    """Turn a function into an argument of compiled and sharded functions, with the arrays bound to it as leaves.

    Arrays that a function closes over are constants of what is compiled, and JAX rejects indexing into them inside
    `jax.shard_map`. A `Partial` is returned as it is, since a `Partial` of a `Partial` would hide its arrays.

    Example:
      >>> jax.tree.leaves(as_partial(Partial(max, 3))), jax.tree.leaves(as_partial(max))
      ([3], [])
    """
    return function if isinstance(function, Partial) else Partial(function)


@jax.jit
def call_compiled(function: Partial, *args: Any) -> Any:
    """Call what `as_partial` returned, compiled once for every function and every structure of its arguments.

    A new `Partial` of the same function uses the compiled program again; a new lambda does not.

    Example:
      >>> int(call_compiled(as_partial(jax.numpy.add), 1, 2))
      3
    """
    return function(*args)
