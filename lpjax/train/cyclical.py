"""Two phases of one training run: ordinary training, then cycles of which each ends in a ticket."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from lpjax.choices import one_of

SHAPES = ("triangle", "fge", "swa")
_DUST = 1e-9  # 0.1 * 80 / 8 is a little less or more than 1, as floats have it


class Phases(NamedTuple):
    """How a training run is divided, in whichever unit was asked for.

    Attributes:
      before: Length of ordinary training.
      cycle: Length of a cycle.
      cycles: How many follow; each yields one ticket.
    """

    before: int
    cycle: int
    cycles: int


def phases(total: int, share: float, cycle: int) -> Phases:
    """Divides training: `cycles = floor(share * total / cycle)`, and what is left comes before.

    Args:
      total: Length of the whole training, epochs or steps.
      share: What cycles may take of it at most, in [0, 1).
      cycle: Length of a cycle in the same unit, 1 or more.

    Returns:
      The phases; no cycle if one does not fit into the share.

    Raises:
      ValueError: If the share or the cycle is out of range.

    Example:
      >>> phases(250, 0.1, 8)
      Phases(before=226, cycle=8, cycles=3)

    References:
      Yin et al., Superposing Many Tickets into One, UAI 2022, section 3.2.1 and the settings of section 4.1.
    """
    if not 0 <= share < 1:
        raise ValueError(f"share {share} is out of range; give what cycles take of training, in [0, 1)")
    if cycle < 1:
        raise ValueError(f"cycle {cycle} is out of range; give its length, 1 or more")
    cycles = int(share * total / cycle + _DUST)
    return Phases(total - cycles * cycle, cycle, cycles)


def cyclical(low: float, high: float, cycle: int, shape: str = "triangle") -> optax.Schedule:
    """Builds a learning rate that repeats every cycle, between two values.

    With `t = (mod(i - 1, C) + 1) / C` in (0, 1], where `i = step + 1` counts iterations from 1 and `C` is the cycle:
    `triangle` rises from `low` to `high` at `t = 1/2` and falls back, `low + (high - low) (1 - |2t - 1|)`;
    `fge` is its mirror image, lowest at `t = 1/2`; `swa` falls all along, `(1 - t) high + t low`.

    Args:
      low: The least value, where tickets are collected, above 0.
      high: The largest value, `low` or more.
      cycle: Steps of a cycle, 1 or more.
      shape: `'triangle'`, `'fge'` or `'swa'`.

    Returns:
      A function from step (int; 0 is a cycle's first) to a float32 scalar, jittable.

    Raises:
      ValueError: If the shape is unknown or a number out of range.

    Example:
      >>> rate = cyclical(0.001, 0.005, 8)
      >>> [round(float(rate(step)), 4) for step in range(8)]
      [0.002, 0.003, 0.004, 0.005, 0.004, 0.003, 0.002, 0.001]

    References:
      Yin et al., Superposing Many Tickets into One, UAI 2022, Eq. 3 (triangle); Garipov et al., NeurIPS 2018 (FGE);
      Izmailov et al., UAI 2018 (SWA). Table 7 compares the three.

    Departs from the authors' code:
      It lags one iteration behind Eq. 3 (its `t` lies in [0, 1)), and its help calls the low rate the maximum.
    """
    one_of("shape", shape, SHAPES)
    if not 0 < low <= high:
        raise ValueError(f"learning rates go from {low} to {high}; give 0 < low <= high")
    if cycle < 1:
        raise ValueError(f"cycle {cycle} is out of range; give its steps, 1 or more")

    def rate(step: jax.Array | int) -> jax.Array:
        t = (jnp.mod(jnp.asarray(step, jnp.int32), cycle) + 1).astype(jnp.float32) / cycle
        height = {"triangle": 1 - jnp.abs(2 * t - 1), "fge": jnp.abs(2 * t - 1), "swa": 1 - t}[shape]
        return low + (high - low) * height

    return rate


def lowest(shape: str, cycle: int) -> int:
    """Tells when to collect a cycle's ticket: right after the step of the lowest learning rate.

    Args:
      shape: Of the learning rate, as for `cyclical`.
      cycle: Its steps.

    Returns:
      Steps since the cycle began: all of them, or half of them for `'fge'`.

    Raises:
      ValueError: If the shape is unknown.

    Example:
      >>> lowest('triangle', 8), lowest('fge', 8)
      (8, 4)
    """
    return max(cycle // 2, 1) if one_of("shape", shape, SHAPES) == "fge" else cycle
