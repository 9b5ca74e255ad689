"""Lottery Pools: a ticket is interpolated with its neighbors, at its own density.

One engine tries candidates one at a time. For each it mixes the anchor with the candidate at every coefficient, prunes
the mixes to the anchor's count, measures them on validation, and takes the best if it is good enough. Every method of
`lpjax.pools.methods` is this engine with some of its choices bound.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.tree_util import Partial

from lpjax import sparsity
from lpjax.choices import one_of
from lpjax.pools.coefficients import INTERPOLATION, Coefficients, coarse_indices, constant, nearby_indices
from lpjax.types import Ticket, as_partial, call_compiled

PyTree = Any
Evaluate = Callable[[PyTree], jax.Array]
Recalibrate = Callable[[PyTree, jax.Array], PyTree]
MapFn = Callable[..., Any]

ACCEPT: dict[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    ">=": jnp.greater_equal,
    ">": jnp.greater,
    "always": lambda value, _: jnp.ones_like(value, bool),
}
PRUNE = ("during", "after")
RECALIBRATION_BATCHES = ("shared", "fresh")


class PoolState(NamedTuple):
    """State of a search, between two candidates.

    Attributes:
      params: The current parameters, at first the anchor's.
      mask: Their mask.
      kept: The count to prune to, int32 scalar: the anchor's.
      value: Their value on validation, scalar; NaN after a step that measured nothing.
      key: Draws the images, and their augmentation, that recalibration uses.
      tried: Candidates tried, int32 scalar.
      accepted: Candidates accepted, int32 scalar.
    """

    params: PyTree
    mask: PyTree
    kept: jax.Array
    value: jax.Array
    key: jax.Array
    tried: jax.Array
    accepted: jax.Array


class Trial(NamedTuple):
    """What trying one candidate showed.

    Attributes:
      coefficients: `[C]`, all coefficients, in [0, 1].
      values: `[C]`, the values of their mixes on validation, or by `rank`; NaN for a mix that was not measured.
      coefficient: The best of them. If several are equally good, the one that was tried first.
      value: The value of its mix on validation; NaN if nothing is measured.
      accepted: Whether the mix was accepted.
    """

    coefficients: jax.Array
    values: jax.Array
    coefficient: jax.Array
    value: jax.Array
    accepted: jax.Array


class Pool(NamedTuple):
    """A pool method.

    Attributes:
      init: `(ticket, key=None, value=None) -> state`; the anchor's value is measured unless given. A key is needed
        only if there is a `recalibrate`. Weights outside the ticket's mask become zero.
      step: `(state, candidate's parameters) -> (state, trial)`.
      ticket: `state -> Ticket` of the anchor's density.
    """

    init: Callable[..., PoolState]
    step: Callable[[PoolState, PyTree], tuple[PoolState, Trial]]
    ticket: Callable[[PoolState], Ticket]


def pool(
    evaluate: Evaluate | None,
    recalibrate: Recalibrate | None = None,
    *,
    rank: Evaluate | None = None,
    coefficients: Coefficients = INTERPOLATION,
    coarse_stride: int = 1,
    accept: str = ">=",
    prune: str = "during",
    recalibration_batches: str = "shared",
    chunk: int = 1,
    map_fn: MapFn = lax.map,
    prunable: sparsity.Prunable = sparsity.kernels,
) -> Pool:
    """Build a pool method.

    A candidate `v` is mixed into the anchor `w` as `prune((1-c) w + c v)` for every coefficient `c`, batch statistics
    are recalibrated, and the mix of highest value becomes the anchor if it passes. Pruning keeps the anchor's exact
    count, chosen afresh among all prunable weights: a mix may keep weights that the anchor lacks. Leaves that are not
    prunable are mixed, and then replaced by what `recalibrate` returns for them.

    The grid over coefficients is one compiled program that holds `chunk` mixes at a time on a device.

    Args:
      evaluate: `params -> value` on validation, jittable; the higher the better. With `accept='always'` and a single
        coefficient its value is not needed, and it may be None: then nothing is measured, and batch statistics are
        recalibrated once, by `ticket`. The result is the same if `recalibrate` ignores the statistics that it is given
        and `recalibration_batches` is `'shared'`.
      recalibrate: `(params, key) -> params` with fresh batch statistics, jittable. What it returns for prunable leaves
        is ignored. Without it batch statistics are mixed.
      rank: `params -> value`, cheaper than to recalibrate and evaluate, jittable; the higher the better. It chooses
        among the mixes of a candidate, and the chosen one alone is recalibrated and evaluated. Without it every mix is.
      coefficients: Weights of the candidate, each in [0, 1], or a function that returns them, `[C]`, for the number of
        candidates tried.
      coarse_stride: 1 tries all coefficients. `k` tries every `k`-th first, and then those within `k // 2` places of
        the best: of 11 coefficients in ascending order, 2 tries 7 and 3 tries 6. What is best among all may be missed
        where the value has several maxima.
      accept: `'>='` (the paper), `'>'` (its code) or `'always'`.
      prune: `'during'` prunes every mix; `'after'` searches unpruned and prunes the outcome once.
      recalibration_batches: `'shared'`: all mixes of an anchor are recalibrated on the same images, so that they
        differ by their weights alone. `'fresh'`: each on images of its own, as the authors' code does.
      chunk: Mixes evaluated at once: 1 is a loop, more is `jax.vmap` in chunks. A convolution batched over its
        weights is a grouped convolution, which on CPUs is several times slower than the loop.
      map_fn: What maps a function over the grid, called like `lax.map`; another may shard the mixes over devices.
        All arrays that the function uses are leaves of it.
      prunable: Which leaves are pruned: a predicate or a tree of bools.

    Returns:
      `Pool(init, step, ticket)`. They raise ValueError if a candidate, or what `recalibrate` returns, is of another
      structure or shape than the anchor (nothing is broadcast), or no leaf is prunable.

    Raises:
      ValueError: If a setting is unknown or out of range, or `evaluate` is None but needed.

    Example:
      >>> goal = jnp.array([[1.0, 0.5, 0.0]])
      >>> search = pool(lambda params: -jnp.sum((params['w'] - goal) ** 2))
      >>> anchor = Ticket({'w': jnp.array([[0.8, 0.7, 0.0]])}, {'w': jnp.array([[True, True, False]])})
      >>> state, trial = search.step(search.init(anchor), {'w': jnp.array([[1.2, 0.3, 0.0]])})
      >>> round(float(trial.coefficient), 2), bool(trial.accepted)
      (0.5, True)

    References:
      Yin et al., Lottery Pools, AAAI 2023, Algorithms 1 and 2, Eq. 2.

    Departs from the paper:
      Its α weighs the anchor, `c = 1 - α`. All its candidate sets are symmetric.

    Departs from the authors' code:
      The anchor's first value is measured on validation, not on test. The count is exact where theirs passes through a
      float and can lose one weight. Ties are resolved by index where theirs keeps them all. Mixes of one anchor are
      recalibrated on the same images with the same augmentation.
    """
    one_of("accept", accept, ACCEPT)
    one_of("prune", prune, PRUNE)
    one_of("recalibration_batches", recalibration_batches, RECALIBRATION_BATCHES)
    if coarse_stride < 1:
        raise ValueError(f"coarse_stride: got {coarse_stride}, expected 1 (all coefficients) or more")
    if chunk < 1:
        raise ValueError(f"chunk: got {chunk}, expected the number of mixes held at once, 1 or more")
    propose = coefficients if callable(coefficients) else constant(coefficients)
    has_one = callable(coefficients) or len(coefficients) == 1
    if evaluate is None and (accept != "always" or rank is not None or not has_one):
        raise ValueError("evaluate: got None; this needs accept='always', rank=None and a single coefficient")
    accept_index = jnp.asarray(list(ACCEPT).index(accept), jnp.int32)  # as data: rules share one compiled program
    evaluate = None if evaluate is None else as_partial(evaluate)
    recalibrate = None if recalibrate is None else as_partial(recalibrate)
    rank = None if rank is None else as_partial(rank)
    options = _Options(prune, recalibration_batches == "fresh", coarse_stride, chunk, map_fn)

    def init(ticket: Ticket, key: jax.Array | None = None, value: jax.Array | float | None = None) -> PoolState:
        if not isinstance(ticket, Ticket):
            raise TypeError(f"ticket: got a {type(ticket).__name__}, expected lpjax.Ticket(params, mask)")
        if recalibrate is not None and key is None:
            raise ValueError("key: got None, but recalibrate draws images; pass a PRNG key to init")
        mask = sparsity.expand_mask(ticket.mask, ticket.params)
        params = sparsity.apply_mask(ticket.params, mask)  # a copy: donating the state leaves the ticket alone
        if value is not None:
            measured = jnp.asarray(value, float)
        elif evaluate is not None:
            measured = call_compiled(evaluate, params)
        else:
            measured = jnp.asarray(jnp.nan)
        if measured.shape:
            raise ValueError(f"evaluate: returned an array of shape {measured.shape}, expected a scalar")
        return PoolState(
            params=params,
            mask=mask,
            kept=sparsity.kept(mask, prunable),
            value=measured,
            key=jax.random.key(0) if key is None else key,
            tried=jnp.zeros((), jnp.int32),
            accepted=jnp.zeros((), jnp.int32),
        )

    def step(state: PoolState, candidate: PyTree) -> tuple[PoolState, Trial]:
        if isinstance(candidate, Ticket):
            raise TypeError("candidate: got a Ticket, expected parameters; pass ticket.params")
        sparsity.ensure_same_shapes(candidate, state.params, "candidate")
        is_prunable = tuple(sparsity.prunable_leaves(state.mask, prunable))
        # Fixed coefficients and computed ones lie on the same devices, so that they share one compiled program.
        proposed = sparsity.like_parameter(jnp.asarray(propose(state.tried)), state.tried)
        if proposed.ndim != 1 or not proposed.size:
            raise ValueError(f"coefficients: got an array of shape {proposed.shape}, expected [C] with C of at least 1")
        if evaluate is None:
            if proposed.size != 1:
                raise ValueError(f"coefficients: got {proposed.size}; without evaluate there must be a single one")
            return _mix_unmeasured(state, candidate, proposed, prune, is_prunable)
        return _step(evaluate, recalibrate, rank, state, candidate, proposed, accept_index, options, is_prunable)

    def ticket(state: PoolState) -> Ticket:
        if prune == "during" and evaluate is not None:
            return Ticket(state.params, state.mask)
        return _finish(recalibrate, state, tuple(sparsity.prunable_leaves(state.mask, prunable)))

    return Pool(init, step, ticket)


class _Options(NamedTuple):
    """What a compiled step depends on."""

    prune: str
    fresh: bool
    coarse_stride: int
    chunk: int
    map_fn: MapFn


@partial(jax.jit, static_argnames=("options", "is_prunable"))
def _step(
    evaluate: Evaluate,
    recalibrate: Recalibrate | None,
    rank: Evaluate | None,
    state: PoolState,
    candidate: PyTree,
    coefficients: jax.Array,
    accept_index: jax.Array,
    options: _Options,
    is_prunable: tuple[bool, ...],
) -> tuple[PoolState, Trial]:
    batch_size = options.chunk if options.chunk > 1 else None
    scorer = "evaluate" if rank is None else "rank"
    keeps_leaves = recalibrate is not None and rank is None
    others = _others(is_prunable)

    def draw_key(state: PoolState, number: jax.Array) -> jax.Array:
        return jax.random.fold_in(state.key, number) if options.fresh else state.key

    def trial(
        held: tuple[Evaluate, Recalibrate | None, PoolState, PyTree], proposal: Any
    ) -> tuple[jax.Array, list[jax.Array]]:
        score, recalibrate, state, candidate = held
        coefficient, number = proposal
        mixed, _ = _mix(state, candidate, coefficient, options.prune, is_prunable)
        if rank is not None:
            return score(mixed), []
        mixed = _recalibrated(recalibrate, mixed, draw_key(state, number), is_prunable)
        return score(mixed), sparsity.choose_leaves(jax.tree.leaves(mixed), others) if keeps_leaves else []

    grid = Partial(trial, (evaluate if rank is None else rank, recalibrate, state, candidate))

    def try_coefficients(indices: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        numbers = state.tried * coefficients.size + indices
        return options.map_fn(grid, (coefficients[indices], numbers), batch_size=batch_size)

    indices = jnp.asarray(coarse_indices(coefficients.size, options.coarse_stride), jnp.int32)
    measured, recalibrated = try_coefficients(indices)
    first = _index_of_best(measured, scorer)
    if indices.size < coefficients.size:
        nearby = nearby_indices(indices[first], coefficients.size, options.coarse_stride)
        more = try_coefficients(nearby)
        measured, recalibrated = jax.tree.map(lambda *two: jnp.concatenate(two), (measured, recalibrated), more)
        indices = jnp.concatenate([indices, nearby])
        first = _index_of_best(measured, scorer)
    coefficient = coefficients[indices[first]]
    mixed, mask = _mix(state, candidate, coefficient, options.prune, is_prunable)
    if rank is None:
        best_value = measured[first]
        if keeps_leaves:
            mixed = sparsity.replace_leaves(mixed, others, [leaf[first] for leaf in recalibrated])
    else:
        mixed = _recalibrated(recalibrate, mixed, draw_key(state, state.tried), is_prunable)
        best_value = evaluate(mixed)
    is_float = jnp.issubdtype(measured.dtype, jnp.floating)
    untried = jnp.full(coefficients.size, jnp.nan, measured.dtype if is_float else float)
    values = untried.at[indices].set(measured.astype(untried.dtype))
    best_value = best_value.astype(state.value.dtype)  # they differ if the anchor's was given, which is a float
    accepted = jnp.stack([accept(best_value, state.value) for accept in ACCEPT.values()])[accept_index]
    params, mask, value = jax.tree.map(
        lambda new, old: jnp.where(accepted, new, old),
        (mixed, mask, best_value),
        (state.params, state.mask, state.value),
    )
    after = state._replace(
        params=params,
        mask=mask,
        value=value,
        tried=state.tried + 1,
        accepted=state.accepted + accepted.astype(jnp.int32),
    )
    return after, Trial(coefficients, values, coefficient, best_value, accepted)


@partial(jax.jit, static_argnames=("prune", "is_prunable"))
def _mix_unmeasured(
    state: PoolState, candidate: PyTree, coefficients: jax.Array, prune: str, is_prunable: tuple[bool, ...]
) -> tuple[PoolState, Trial]:
    coefficient = coefficients[0]
    params, mask = _mix(state, candidate, coefficient, prune, is_prunable)
    unknown = jnp.full_like(state.value, jnp.nan)
    after = state._replace(params=params, mask=mask, value=unknown, tried=state.tried + 1, accepted=state.accepted + 1)
    return after, Trial(coefficients, unknown[None], coefficient, unknown, jnp.asarray(True))


def _mix(
    state: PoolState, candidate: PyTree, coefficient: jax.Array, prune: str, is_prunable: tuple[bool, ...]
) -> tuple[PyTree, PyTree]:
    mixed = sparsity.lerp(state.params, candidate, coefficient)
    return _pruned(mixed, state, is_prunable) if prune == "during" else (mixed, state.mask)


def _recalibrated(
    recalibrate: Recalibrate | None, params: PyTree, key: jax.Array, is_prunable: tuple[bool, ...]
) -> PyTree:
    """Recalibrate the leaves that are not prunable."""
    if recalibrate is None:
        return params
    fresh = recalibrate(params, key)
    sparsity.ensure_same_shapes(fresh, params, "what recalibrate returned")
    others = _others(is_prunable)
    return sparsity.replace_leaves(params, others, sparsity.choose_leaves(jax.tree.leaves(fresh), others))


def _others(is_prunable: tuple[bool, ...]) -> list[bool]:
    """Flag the leaves that are not prunable."""
    return [not prunable for prunable in is_prunable]


def _index_of_best(values: jax.Array, name: str) -> jax.Array:
    if values.ndim != 1:
        raise ValueError(f"{name}: returned an array of shape {values.shape[1:]}, expected a scalar")
    if jnp.issubdtype(values.dtype, jnp.floating):
        values = jnp.where(jnp.isnan(values), -jnp.inf, values)
    return jnp.argmax(values)


@partial(jax.jit, static_argnames="is_prunable")
def _finish(recalibrate: Recalibrate | None, state: PoolState, is_prunable: tuple[bool, ...]) -> Ticket:
    """Prune the last mix to the anchor's count, which changes nothing if it was pruned before, and recalibrate it."""
    pruned, mask = _pruned(state.params, state, is_prunable)
    finished = Ticket(_recalibrated(recalibrate, pruned, state.key, is_prunable), mask)
    untouched = Ticket(state.params, state.mask)
    return jax.tree.map(lambda new, old: jnp.where(state.accepted > 0, new, old), finished, untouched)


def _pruned(params: PyTree, state: PoolState, is_prunable: tuple[bool, ...]) -> tuple[PyTree, PyTree]:
    """Prune to the anchor's count, among all prunable weights."""
    everything = jax.tree.map(jnp.ones_like, state.mask)
    prunable = sparsity.as_tree(list(is_prunable), everything)
    mask = sparsity.select(sparsity.magnitude(params), everything, state.kept, prunable)
    return sparsity.apply_mask(params, sparsity.with_scalars(mask, prunable)), mask
