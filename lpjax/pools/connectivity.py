"""Linear mode connectivity: what lies on the straight line between two networks."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.tree_util import Partial

from lpjax.pools.lottery import Recalibrate
from lpjax.sparsity import lerp
from lpjax.types import PyTree, as_partial

TENTHS = tuple(i / 10 for i in range(11))


def linear_path(
    evaluate: Any,
    start: PyTree,
    end: PyTree,
    *,
    recalibrate: Recalibrate | None = None,
    key: jax.Array | None = None,
    coefficients: Sequence[float] = TENTHS,
) -> PyTree:
    """Measure the networks `(1 - c) start + c end`, all in one compiled program.

    Nothing is pruned: between tickets, a mix keeps the weights that either of them keeps.

    Args:
      evaluate: `params -> measurements`, jittable; any pytree of scalars, such as a loss and an error.
      start: The network at `c = 0`, any pytrees of floating-point arrays.
      end: The network at `c = 1`, of the same structure.
      recalibrate: `(params, key) -> params` with fresh batch statistics, jittable; without it they are mixed too.
      key: Draws the images that recalibration uses, the same for all; needed with `recalibrate` alone.
      coefficients: Weights of `end`, `[C]`, each in [0, 1].

    Returns:
      What `evaluate` returns, with a leading axis `[C]`.

    Raises:
      ValueError: If a coefficient is out of range, or `recalibrate` comes without a key.

    Example:
      >>> basins = lambda params: jnp.minimum((params - 1) ** 2, (params + 1) ** 2)
      >>> losses = linear_path(basins, jnp.array(-1.0), jnp.array(1.0), coefficients=(0, 0.25, 0.5, 0.75, 1))
      >>> losses.tolist(), float(barrier(losses))
      ([0.0, 0.25, 1.0, 0.25, 0.0], 1.0)

    References:
      Frankle et al., Linear Mode Connectivity and the Lottery Ticket Hypothesis, ICML 2020;
      Yin et al., Lottery Pools, AAAI 2023, Figure 2, Eq. 1.

    Departs from the authors' code:
      Theirs stops at c = 0.9 and ends with an error after the last pair.
    """
    for c in coefficients:
        if not 0 <= c <= 1:
            raise ValueError(f"coefficients: got {c}, expected weights of the second network in [0, 1]")
    if recalibrate is not None and key is None:
        raise ValueError("key: got None, but recalibrate draws images; pass a PRNG key")
    compiled_recalibrate = None if recalibrate is None else as_partial(recalibrate)
    return _measured(as_partial(evaluate), compiled_recalibrate, start, end, key, jnp.asarray(coefficients, float))


def barrier(errors: jax.Array) -> jax.Array:
    """Measure how far a path rises above the mean of its ends: `max(errors) - (errors[first] + errors[last]) / 2`.

    Between ends of different height it is at least half their difference, even where the path only falls.

    Args:
      errors: `[..., C]`, error or loss along a path, its ends included.

    Returns:
      `[...]`, at least 0 but for rounding; equally good networks are linearly connected where it is about 0.

    Example:
      >>> round(float(barrier(jnp.array([0.1, 0.4, 0.2]))), 4)
      0.25

    References:
      Frankle et al., ICML 2020, section 2: linear interpolation instability.
    """
    return jnp.max(errors, axis=-1) - (errors[..., 0] + errors[..., -1]) / 2


@jax.jit
def _measured(
    evaluate: Partial,
    recalibrate: Partial | None,
    start: PyTree,
    end: PyTree,
    key: jax.Array | None,
    coefficients: jax.Array,
) -> PyTree:
    def at(coefficient: jax.Array) -> PyTree:
        mixed = lerp(start, end, coefficient)
        if recalibrate is not None:
            mixed = recalibrate(mixed, key)
        return evaluate(mixed)

    return lax.map(at, coefficients)
