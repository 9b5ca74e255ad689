"""Which coefficients a pool tries: the weights of the candidate in a mix."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

Coefficients = Sequence[float] | Callable[[jax.Array], jax.Array]

INTERPOLATION = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""The paper's eleven coefficients."""


def coefficient_rounds(count: int, coarse_stride: int) -> tuple[int, ...]:
    """Count the coefficients that `pool` tries together: all, or the coarse ones, then those near the best.

    Example:
      >>> [coefficient_rounds(11, stride) for stride in (1, 2, 3)]
      [(11,), (5, 2), (4, 2)]
    """
    coarse = len(coarse_indices(count, coarse_stride))
    return (count,) if coarse == count else (coarse, 2 * (coarse_stride // 2))


def coarse_indices(size: int, stride: int) -> list[int]:
    """List every `stride`-th index, so that every index lies within `stride // 2` of one of these.

    Where they and those near the best would be as many as all, all are listed.
    """
    reach = stride // 2
    coarse = list(range(reach, size, stride))
    if not coarse or size - 1 - coarse[-1] > reach:
        coarse.append(size - 1)
    if len(coarse) + 2 * reach >= size:
        return list(range(size))
    return coarse


def nearby_indices(best: jax.Array, size: int, stride: int) -> jax.Array:
    """List the indices within `stride // 2` of the best, without it; at an end of the range some are repeated."""
    reach = stride // 2
    offsets = [offset for offset in range(-reach, reach + 1) if offset]
    return jnp.clip(best + jnp.asarray(offsets, jnp.int32), 0, size - 1)


def constant(coefficients: Sequence[float]) -> Callable[[jax.Array], jax.Array]:
    """Return a function that proposes the same coefficients for every candidate; refuse what are no weights."""
    if np.ndim(coefficients) != 1:
        raise TypeError(f"coefficients: got {coefficients}, expected a sequence of weights in [0, 1]")
    if not len(coefficients):
        raise ValueError("coefficients: got none, expected one or more in [0, 1]")
    for c in coefficients:
        if not 0 <= c <= 1:
            raise ValueError(f"coefficients: got {c}, expected weights of the candidate in [0, 1]")
    return lambda tried: jnp.asarray(coefficients, float)
