"""Lottery Pools: a ticket grows stronger by mixing in its neighbors, at its own density.

One engine tries newcomers one at a time. For each it mixes the anchor with the newcomer at every coefficient, prunes
the mixes to the anchor's count, measures them on validation, and takes the best if it is good enough. Every method of
`lpjax.pools.methods` is this engine with some of its choices bound.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.tree_util import Partial

from lpjax.choices import one_of
from lpjax.sparsity import apply_mask, kept, lerp, magnitude, select
from lpjax.types import Ticket, Variables

PyTree = Any
Evaluate = Callable[[Variables], jax.Array]
Recalibrate = Callable[[Variables, jax.Array], Variables]
Coefficients = Sequence[float] | Callable[[jax.Array], jax.Array]
Over = Callable[..., Any]

INTERPOLATION = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""The paper's eleven coefficients."""

ACCEPT: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    ">=": jnp.greater_equal,
    ">": jnp.greater,
    "always": lambda value, _: jnp.ones_like(value, bool),
}
PRUNE = ("during", "after")


class PoolState(NamedTuple):
    """A pool between two newcomers.

    Attributes:
      variables: The anchor as it stands.
      mask: Its mask.
      kept: The count to prune to, int32 scalar: the first anchor's.
      value: Its value on validation, scalar.
      key: Draws the images, and their augmentation, that recalibration uses.
      tried: Newcomers seen, int32 scalar.
      accepted: Newcomers accepted, int32 scalar.
    """

    variables: Variables
    mask: PyTree
    kept: jax.Array
    value: jax.Array
    key: jax.Array
    tried: jax.Array
    accepted: jax.Array


class Trial(NamedTuple):
    """What trying one newcomer showed.

    Attributes:
      coefficients: `[C]`, the newcomer's weights that were tried.
      values: `[C]`, the mixes' values on validation.
      coefficient: The best of them; the first where several tie.
      value: Its value.
      accepted: Whether the mix became the anchor.
    """

    coefficients: jax.Array
    values: jax.Array
    coefficient: jax.Array
    value: jax.Array
    accepted: jax.Array


class Pool(NamedTuple):
    """A pool method.

    Attributes:
      init: `(ticket, key, value=None) -> state`; the anchor's value is measured unless given.
      step: `(state, newcomer's variables) -> (state, trial)`.
      ticket: `state -> Ticket` of the anchor's density.
    """

    init: Callable[..., PoolState]
    step: Callable[[PoolState, Variables], tuple[PoolState, Trial]]
    ticket: Callable[[PoolState], Ticket]


def pool(
    evaluate: Evaluate,
    recalibrate: Recalibrate | None = None,
    *,
    coefficients: Coefficients = INTERPOLATION,
    accept: str = ">=",
    prune: str = "during",
    fresh: bool = False,
    chunk: int = 1,
    over: Over = lax.map,
) -> Pool:
    """Builds a pool method.

    A newcomer `v` is mixed into the anchor `w` as `prune((1-c) w + c v)` for every coefficient `c`, statistics are
    recalibrated, and the mix of highest value becomes the anchor if it passes. Pruning keeps the anchor's exact count,
    chosen afresh among all prunable weights: a mix may revive weights that the anchor lacks.

    The grid over coefficients is one compiled program that holds `chunk` candidates at a time on a device.

    Args:
      evaluate: `variables -> value` on validation, jittable; the higher the better.
      recalibrate: `(variables, key) -> variables` with fresh statistics, jittable; without it statistics are mixed.
      coefficients: Weights of the newcomer, each in [0, 1], or a function of the number of newcomers seen.
      accept: `'>='` (the paper), `'>'` (its code) or `'always'`.
      prune: `'during'` prunes every mix; `'after'` searches unpruned and prunes the outcome once.
      fresh: Recalibrate every candidate on images of its own, as the authors' code does; otherwise all candidates of an
        anchor share theirs, so that they differ by their weights alone.
      chunk: Candidates evaluated at once: 1 is a loop, more is `jax.vmap` in chunks. A convolution batched over its
        weights is a grouped convolution, which on CPUs is several times slower than the loop.
      over: What maps a function over the grid, called like `lax.map`; another may share the candidates out to devices.
        The function is a pytree of all the arrays that it holds.

    Returns:
      `Pool(init, step, ticket)`.

    Raises:
      ValueError: If a setting is unknown or out of range.

    Example:
      >>> goal = jnp.array([1.0, 0.5, 0.0])
      >>> search = pool(lambda v: -jnp.sum((v.params['w'] - goal) ** 2))
      >>> anchor = Ticket(Variables({'w': jnp.array([0.8, 0.7, 0.0])}, {}), {'w': jnp.array([True, True, False])})
      >>> state = search.init(anchor, jax.random.key(0))
      >>> state, trial = search.step(state, Variables({'w': jnp.array([1.2, 0.3, 0.0])}, {}))
      >>> round(float(trial.coefficient), 2), bool(trial.accepted)
      (0.5, True)

    References:
      Yin et al., Lottery Pools, AAAI 2023, Algorithms 1 and 2, Eq. 2.

    Departs from the paper:
      Its α weighs the anchor, `c = 1 - α`. All its candidate sets are symmetric.

    Departs from the authors' code:
      The anchor's first value is measured on validation, not on test. The count is exact where theirs passes through a
      float and can lose one weight. Ties fall by index where theirs keeps them all. Candidates of one anchor are
      recalibrated on the same images with the same augmentation.
    """
    one_of("accept", accept, ACCEPT)
    one_of("prune", prune, PRUNE)
    if chunk < 1:
        raise ValueError(f"chunk {chunk} is out of range; give the number of candidates held at once, 1 or more")
    propose = coefficients if callable(coefficients) else _constant(coefficients)
    rule = jnp.asarray(list(ACCEPT).index(accept), jnp.int32)  # as data: rules share one compiled program
    evaluate, recalibrate = as_pytree(evaluate), as_pytree(recalibrate or _keep_statistics)

    def init(ticket: Ticket, key: jax.Array, value: jax.Array | float | None = None) -> PoolState:
        measured = call(evaluate, ticket.variables) if value is None else jnp.asarray(value, float)
        zero = jnp.zeros((), jnp.int32)
        return PoolState(ticket.variables, ticket.mask, kept(ticket.mask), measured, key, zero, zero)

    def step(state: PoolState, newcomer: Variables) -> tuple[PoolState, Trial]:
        return _step(evaluate, recalibrate, state, newcomer, propose(state.tried), rule, prune, fresh, chunk, over)

    def ticket(state: PoolState) -> Ticket:
        return _finish(recalibrate, state) if prune == "after" else Ticket(state.variables, state.mask)

    return Pool(init, step, ticket)


def as_pytree(function: Callable[..., Any]) -> Partial:
    """Turns a function into an argument of compiled functions, and the arrays it holds too: they are no constants."""
    return function if isinstance(function, Partial) else Partial(function)  # a Partial of a Partial hides its arrays


@jax.jit
def call(function: Partial, *args: Any) -> Any:
    """Calls what `as_pytree` returned, compiled."""
    return function(*args)


@partial(jax.jit, static_argnames=("prune", "fresh", "chunk", "over"))
def _step(
    evaluate: Evaluate,
    recalibrate: Recalibrate,
    state: PoolState,
    newcomer: Variables,
    coefficients: jax.Array,
    rule: jax.Array,
    prune: str,
    fresh: bool,
    chunk: int,
    over: Over,
) -> tuple[PoolState, Trial]:
    def mix(state: PoolState, newcomer: Variables, coefficient: jax.Array) -> tuple[Variables, PyTree]:
        mixed = lerp(state.variables, newcomer, coefficient)
        return _pruned(mixed, state) if prune == "during" else (mixed, state.mask)

    def trial(held: tuple[Evaluate, Recalibrate, PoolState, Variables], proposal: Any) -> tuple[jax.Array, PyTree]:
        evaluate, recalibrate, state, newcomer = held
        coefficient, draw = proposal
        key = jax.random.fold_in(state.key, draw) if fresh else state.key
        candidate = recalibrate(mix(state, newcomer, coefficient)[0], key)
        return evaluate(candidate), candidate.stats

    proposals = coefficients, state.tried * coefficients.size + jnp.arange(coefficients.size, dtype=jnp.int32)
    grid = Partial(trial, (evaluate, recalibrate, state, newcomer))
    values, stats = over(grid, proposals, batch_size=chunk if chunk > 1 else None)
    best = jnp.argmax(jnp.where(jnp.isnan(values), -jnp.inf, values))
    old_value = state.value.astype(values.dtype)
    accepted = jnp.stack([accept(values[best], old_value) for accept in ACCEPT.values()])[rule]
    candidate, mask = mix(state, newcomer, coefficients[best])
    candidate = candidate._replace(stats=jax.tree.map(lambda s: s[best], stats))
    variables, mask, value = jax.tree.map(
        lambda new, old: jnp.where(accepted, new, old),
        (candidate, mask, values[best]),
        (state.variables, state.mask, old_value),
    )
    after = PoolState(
        variables, mask, state.kept, value, state.key, state.tried + 1, state.accepted + accepted.astype(jnp.int32)
    )
    return after, Trial(coefficients, values, coefficients[best], values[best], accepted)


@jax.jit
def _finish(recalibrate: Recalibrate, state: PoolState) -> Ticket:
    pruned, mask = _pruned(state.variables, state)
    changed = Ticket(recalibrate(pruned, state.key), mask)
    untouched = Ticket(state.variables, state.mask)
    return jax.tree.map(lambda new, old: jnp.where(state.accepted > 0, new, old), changed, untouched)


def _pruned(variables: Variables, state: PoolState) -> tuple[Variables, PyTree]:
    mask = select(magnitude(variables.params), jax.tree.map(jnp.ones_like, state.mask), state.kept)
    return variables._replace(params=apply_mask(variables.params, mask)), mask


def _keep_statistics(variables: Variables, key: jax.Array) -> Variables:
    del key
    return variables


def _constant(coefficients: Sequence[float]) -> Callable[[jax.Array], jax.Array]:
    if not len(coefficients):
        raise ValueError("got no coefficient; give one or more in [0, 1]")
    for c in coefficients:
        if not 0 <= c <= 1:
            raise ValueError(f"coefficient {c} is out of range; give weights of the newcomer in [0, 1]")
    return lambda tried: jnp.asarray(coefficients, float)
