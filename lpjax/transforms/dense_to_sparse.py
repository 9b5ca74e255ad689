"""Dense to sparse: methods that thin a network while it trains."""

from typing import Any

import jax
import optax

from lpjax import sparsity
from lpjax.transforms import grow
from lpjax.transforms.evolve import evolve

PyTree = Any


def granet(
    inner: optax.GradientTransformation,
    density: float,
    *,
    every: int = 1000,
    end: int,
    begin: int = 0,
    initial_density: float | None = None,
    until: int | None = None,
    **choices: Any,
) -> optax.GradientTransformationExtraArgs:
    """GraNet: thins the whole tree step by step, and regrows inside every leaf where gradients are largest.

    `d(step) = d_f + (d_i - d_f) (1 - x)³`, with `x` from 0 at `begin` to 1 at `end`, both cut down to changes.

    Args:
      inner: The optimizer, learning rate included.
      density: Final share of the prunable weights that live, in (0, 1].
      every: Steps between changes.
      end: Step at which the final density is reached, at least `every`.
      begin: Step at which thinning begins.
      initial_density: Share at first, in (0, 1]; by default 0.5, or the final one if that is larger. 1 is the
        dense-to-sparse variant.
      until: The last step after which weights are regrown; None for no end. At least `end`.
      **choices: Of `evolve`; `drop_fraction` is 0.5, `thin=in_proportion` thins every leaf alike.

    Returns:
      A transform.

    Raises:
      ValueError: As `evolve`; if no change lies between `begin` and `end`, or `until` is before `end`.

    Example:
      >>> tx = granet(optax.adam(1e-3), density=0.1, every=100, end=4000)

    References:
      Liu et al., Sparse Training via Boosting Pruning Plasticity with Neuroregeneration, NeurIPS 2021.

    Departs from the authors' code:
      Theirs never runs the last pruning, so that short runs end too dense.
    """
    _ensure_end(end, every, begin, until)
    bound: dict[str, Any] = {
        "every": every,
        "until": until,
        "grow": grow.by_gradient,
        "drop_fraction": 0.5,
        "initial_density": max(0.5, density) if initial_density is None else initial_density,
        "thinning": _cubic(begin, end, every),
    }
    return evolve(inner, density, **(bound | choices))


def gmp(
    inner: optax.GradientTransformation,
    density: float,
    *,
    every: int = 1000,
    end: int,
    begin: int = 0,
    until: int | None = None,
    **choices: Any,
) -> optax.GradientTransformationExtraArgs:
    """Gradual magnitude pruning: thins the dense network step by step, and nothing ever grows.

    `d(step) = d_f + (1 - d_f) (1 - x)³`, with `x` from 0 at `begin` to 1 at `end`, both cut down to changes.

    Args:
      inner: The optimizer, learning rate included.
      density: Final share of the prunable weights that live, in (0, 1].
      every: Steps between changes.
      end: Step at which the final density is reached, at least `every`.
      begin: Step at which thinning begins.
      until: The last step after which a change may happen; at least `end`, which is all that is needed.
      **choices: Of `evolve`; `thin=in_proportion` thins every leaf alike.

    Returns:
      A transform.

    Raises:
      ValueError: As `evolve`; if no change lies between `begin` and `end`, or `until` is before `end`.

    Example:
      >>> tx = gmp(optax.adam(1e-3), density=0.1, every=100, end=4000)

    References:
      Zhu and Gupta, To Prune, or Not to Prune, 2017.
    """
    _ensure_end(end, every, begin, until)
    bound: dict[str, Any] = {
        "every": every,
        "until": until or end,
        "initial_density": 1.0,
        "thinning": _cubic(begin, end, every),
    }
    return evolve(inner, density, **(bound | choices))


def n_of_m(
    inner: optax.GradientTransformation,
    density: float | None = None,
    *,
    n: int = 2,
    m: int = 4,
    end: int,
    **choices: Any,
) -> optax.GradientTransformationExtraArgs:
    """Trains dense, then keeps the `n` largest of every `m` weights that follow one another along the input axis.

    Args:
      inner: The optimizer, learning rate included.
      density: `n / m`, or None; leaves whose input axis `m` does not divide stay dense.
      n: Weights to keep of every group.
      m: Weights a group.
      end: Step after which the mask is made, at least 1.
      **choices: Of `evolve`.

    Returns:
      A transform.

    Raises:
      ValueError: As `evolve`; if `density` is not `n / m`, or `end` below 1.

    Example:
      >>> tx = n_of_m(optax.adam(1e-3), n=2, m=4, end=1000)

    References:
      Mishra et al., Accelerating Sparse Deep Neural Networks, 2021.
    """
    _ensure_end(end)
    if density is not None and abs(density - n / m) > 1e-9:
        raise ValueError(f"density is {density}, but {n} of {m} is {n / m}; leave it out, or choose another method")

    def thin(scores: PyTree, mask: PyTree, count: jax.Array) -> PyTree:
        del count
        return sparsity.select_n_of_m(scores, mask, n, m)

    bound: dict[str, Any] = {
        "every": end,
        "until": end,
        "initial_density": 1.0,
        "thinning": optax.constant_schedule(0.0),
        "thin": thin,
    }
    return evolve(inner, n / m, **(bound | choices))


def _cubic(begin: int, end: int, every: int) -> optax.Schedule:
    first, last = begin // every, end // every
    return optax.polynomial_schedule(1.0, 0.0, 3, (last - first) * every, first * every)


def _ensure_end(end: int, every: int = 1, begin: int = 0, until: int | None = None) -> None:
    if every >= 1 and end // every <= begin // every:
        raise ValueError(f"end is {end}, but no change happens by then; give a multiple of {every} beyond {begin}")
    if until is not None and until < end:
        raise ValueError(f"until is {until}, but the final density is reached at {end}; give {end} or more")
