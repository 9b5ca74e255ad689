"""Sparse to sparse: methods whose density stays, from a random mask on."""

from typing import Any

import optax

from lpjax import sparsity
from lpjax.transforms import drop, grow, share
from lpjax.transforms.evolve import evolve


def static(
    inner: optax.GradientTransformation, density: float, **choices: Any
) -> optax.GradientTransformationExtraArgs:
    """Draws a mask at random and keeps it.

    Args:
      inner: The optimizer, learning rate included.
      density: Share of the prunable weights that live, in (0, 1].
      **choices: Of `evolve`; `allocate=erk` by default, or `uniform`.

    Returns:
      A transform.

    Raises:
      ValueError: As `evolve`.

    Example:
      >>> tx = static(optax.adam(1e-3), density=0.1, allocate=sparsity.uniform)

    References:
      Mocanu et al., Nature Communications 2018 (Erdős-Rényi); Evci et al., ICML 2020 (its kernel form).
    """
    return evolve(inner, density, **choices)


def sparse_evolution(
    inner: optax.GradientTransformation, density: float, *, every: int = 100, until: int | None = None, **choices: Any
) -> optax.GradientTransformationExtraArgs:
    """SET: drops the smallest weights of every leaf and grows as many at random.

    Args:
      inner: The optimizer, learning rate included.
      density: Share of the prunable weights that live, in (0, 1].
      every: Steps between changes.
      until: The last step after which a change may happen; None for no end.
      **choices: Of `evolve`, `drop_fraction=0.3` by default.

    Returns:
      A transform.

    Raises:
      ValueError: As `evolve`.

    Example:
      >>> tx = sparse_evolution(optax.adam(1e-3), density=0.1, every=100)

    References:
      Mocanu et al., Scalable Training of Artificial Neural Networks with Adaptive Sparse Connectivity Inspired by
      Network Science, Nature Communications 2018.

    Departs from the paper:
      It drops the smallest positive and the largest negative weights (`drop=drop.nearest_zero`); later work, and this
      default, the smallest magnitudes.
    """
    bound: dict[str, Any] = {"every": every, "until": until, "grow": grow.at_random}
    return evolve(inner, density, **(bound | choices))


def rigl(
    inner: optax.GradientTransformation, density: float, *, every: int = 100, until: int, **choices: Any
) -> optax.GradientTransformationExtraArgs:
    """RigL: drops the smallest weights of every leaf and grows as many where gradients are largest.

    The drop fraction falls as `0.15 (1 + cos(π step / until))`.

    Args:
      inner: The optimizer, learning rate included.
      density: Share of the prunable weights that live, in (0, 1].
      every: Steps between changes.
      until: The last step after which a change may happen; the paper's choice is three quarters of the training.
      **choices: Of `evolve`.

    Returns:
      A transform.

    Raises:
      ValueError: As `evolve`.

    Example:
      >>> tx = rigl(optax.adam(1e-3), density=0.1, every=100, until=7500)

    References:
      Evci et al., Rigging the Lottery: Making All Tickets Winners, ICML 2020, Algorithm 1.

    Departs from the authors' code:
      Theirs changes the mask instead of taking the optimizer's step, first at step 0, and truncates counts.
    """
    cosine = optax.cosine_decay_schedule(0.3, max(until, 1))
    bound: dict[str, Any] = {"every": every, "until": until, "grow": grow.by_gradient, "drop_fraction": cosine}
    return evolve(inner, density, **(bound | choices))


def itop(
    inner: optax.GradientTransformation, density: float, *, every: int = 1000, until: int | None = None, **choices: Any
) -> optax.GradientTransformationExtraArgs:
    """RigL-ITOP: RigL with long pauses, half of the weights dropped each time, and no end.

    Weights between changes have time to grow; over the training, most places are tried once.

    Args:
      inner: The optimizer, learning rate included.
      density: Share of the prunable weights that live, in (0, 1].
      every: Steps between changes; the paper's choices are 1000 to 4000.
      until: The last step after which a change may happen; None for no end.
      **choices: Of `evolve`.

    Returns:
      A transform; `explored_of` its state tells what was tried.

    Raises:
      ValueError: As `evolve`.

    Example:
      >>> tx = itop(optax.adam(1e-3), density=0.1, every=1000)

    References:
      Liu et al., Do We Actually Need Dense Over-Parameterization? In-Time Over-Parameterization in Sparse Training,
      ICML 2021.
    """
    bound: dict[str, Any] = {"every": every, "until": until, "grow": grow.by_gradient, "drop_fraction": 0.5}
    return evolve(inner, density, **(bound | choices))


def snfs(
    inner: optax.GradientTransformation, density: float, *, every: int = 1000, until: int | None = None, **choices: Any
) -> optax.GradientTransformationExtraArgs:
    """Sparse networks from scratch: grows where gradients point one way for long, most in the leaves that learn most.

    Args:
      inner: The optimizer, learning rate included.
      density: Share of the prunable weights that live, in (0, 1].
      every: Steps between changes; an epoch in the paper.
      until: The last step after which a change may happen; None for no end.
      **choices: Of `evolve`; `average=0.9`, `drop_fraction=0.5` by default.

    Returns:
      A transform. It keeps an average of dense gradients, as large as the parameters.

    Raises:
      ValueError: As `evolve`.

    Example:
      >>> tx = snfs(optax.adam(1e-3), density=0.1, every=100)

    References:
      Dettmers and Zettlemoyer, Sparse Networks from Scratch: Faster Training without Losing Performance, 2019.

    Departs from the paper:
      The average of gradients is kept beside the optimizer's own momentum, so that any optimizer serves.
    """
    bound: dict[str, Any] = {
        "every": every,
        "until": until,
        "grow": grow.by_average,
        "share": share.by_momentum,
        "average": 0.9,
    }
    return evolve(inner, density, **(bound | {"drop_fraction": 0.5} | choices))


def dsr(
    inner: optax.GradientTransformation, density: float, *, every: int = 1000, until: int | None = None, **choices: Any
) -> optax.GradientTransformationExtraArgs:
    """Dynamic sparse reparameterization: drops the smallest weights of the tree, regrows where many survive.

    Args:
      inner: The optimizer, learning rate included.
      density: Share of the prunable weights that live, in (0, 1].
      every: Steps between changes.
      until: The last step after which a change may happen; None for no end.
      **choices: Of `evolve`; `allocate=uniform`, `drop_fraction=0.1` by default.

    Returns:
      A transform.

    Raises:
      ValueError: As `evolve`.

    Example:
      >>> tx = dsr(optax.adam(1e-3), density=0.1, every=100)

    References:
      Mostafa and Wang, Parameter Efficient Training of Deep Convolutional Neural Networks by Dynamic Sparse
      Reparameterization, ICML 2019, Algorithm 1.

    Departs from the paper:
      Its threshold is halved or doubled until about as many weights fall as wanted; here exactly that many do.
    """
    bound: dict[str, Any] = {
        "every": every,
        "until": until,
        "drop": drop.smallest_overall,
        "grow": grow.at_random,
        "share": share.by_survivors,
        "allocate": sparsity.uniform,
        "drop_fraction": 0.1,
    }
    return evolve(inner, density, **(bound | choices))
