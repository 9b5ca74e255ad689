"""The two phases of Sup-tickets: ordinary training, then cycles of the learning rate, each yielding a ticket."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from lpjax.choices import one_of

SHAPES = ("triangle", "fge", "swa")
_TOLERANCE = 1e-9  # in floating point, 0.1 * 80 / 8 may be slightly below 1


class Phases(NamedTuple):
    """The phases of a training run, in the unit of the arguments of `phases`.

    Attributes:
      before: Length of ordinary training, before the cycles.
      cycle: Length of each cycle.
      cycles: Number of cycles; each yields one ticket.
    """

    before: int
    cycle: int
    cycles: int


def phases(total: int, share: float, cycle: int) -> Phases:
    """Divide training into ordinary training followed by cycles: `cycles = floor(share * total / cycle)`.

    Args:
      total: Total length of training, in epochs or steps.
      share: Largest fraction of training that cycles may take, in [0, 1).
      cycle: Length of a cycle in the same unit, at least 1.

    Returns:
      The phases, with 0 cycles if none fits into the share.

    Raises:
      ValueError: If `share` or `cycle` is out of range.

    Example:
      >>> phases(250, 0.1, 8)
      Phases(before=226, cycle=8, cycles=3)

    References:
      Yin et al., Superposing Many Tickets into One, UAI 2022, section 3.2.1 and the settings of section 4.1.
    """
    if not 0 <= share < 1:
        raise ValueError(f"share: got {share}, expected a fraction in [0, 1)")
    if cycle < 1:
        raise ValueError(f"cycle: got {cycle}, expected a length of at least 1")
    cycles = int(share * total / cycle + _TOLERANCE)
    return Phases(total - cycles * cycle, cycle, cycles)


def cyclical(low: float, high: float, cycle: int, shape: str = "triangle") -> optax.Schedule:
    """Build a cyclical learning-rate schedule between two values.

    With `t = (mod(i - 1, C) + 1) / C` in (0, 1], where `i = step + 1` and `C` is the cycle length:

    - `triangle` increases from `low` to `high` at `t = 1/2`, then decreases: `low + (high - low) (1 - |2t - 1|)`;
    - `fge` is its mirror image, lowest at `t = 1/2`: `low + (high - low) |2t - 1|`;
    - `swa` decreases over the cycle: `(1 - t) high + t low`.

    Args:
      low: The smallest learning rate, at which tickets are collected, above 0.
      high: The largest learning rate, at least `low`.
      cycle: Steps per cycle, at least 1.
      shape: `'triangle'`, `'fge'` or `'swa'`.

    Returns:
      A jittable function from the step (int, 0 at the start of a cycle) to a float32 scalar.

    Raises:
      ValueError: If `shape` is unknown, or a number is out of range.

    Example:
      >>> rate = cyclical(0.001, 0.005, 8)
      >>> [round(float(rate(step)), 4) for step in range(8)]
      [0.002, 0.003, 0.004, 0.005, 0.004, 0.003, 0.002, 0.001]

    References:
      Yin et al., Superposing Many Tickets into One, UAI 2022, Eq. 3 (triangle); Garipov et al., NeurIPS 2018 (FGE);
      Izmailov et al., UAI 2018 (SWA). Table 7 compares the three.

    Departs from the authors' code:
      Their `t` lies in [0, 1), one iteration behind Eq. 3.
    """
    one_of("shape", shape, SHAPES)
    if not 0 < low <= high:
        raise ValueError(f"low, high: got {low} and {high}, expected 0 < low <= high")
    if cycle < 1:
        raise ValueError(f"cycle: got {cycle}, expected at least 1 step")

    def rate(step: jax.Array | int) -> jax.Array:
        t = (jnp.mod(jnp.asarray(step, jnp.int32), cycle) + 1).astype(jnp.float32) / cycle
        if shape == "triangle":
            height = 1 - jnp.abs(2 * t - 1)
        elif shape == "fge":
            height = jnp.abs(2 * t - 1)
        else:
            height = 1 - t
        return low + (high - low) * height

    return rate


def collection_step(shape: str, cycle: int) -> int:
    """Return when to collect the ticket of a cycle: after the step with the lowest learning rate.

    Example:
      >>> collection_step('triangle', 8), collection_step('fge', 8)
      (8, 4)
    """
    one_of("shape", shape, SHAPES)
    if shape == "fge":
        return max(cycle // 2, 1)
    return cycle
