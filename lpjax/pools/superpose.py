"""Superposition: many cheap tickets of one training run averaged into one, at their density."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lpjax import sparsity
from lpjax.choices import one_of
from lpjax.types import Ticket

PyTree = Any

KINDS = ("cia", "caa", "cima")
WHEN = ("step", "end")
SCOPES = ("global", "layerwise")


class SuperposeState(NamedTuple):
    """A superposition between two tickets.

    Attributes:
      params: The average so far, in float32 or better.
      mask: Where it may be nonzero: the union of the tickets' masks, pruned if every step prunes.
      counts: How many tickets each weight is averaged over, an int32 tree: of the weight's shape for `'caa'`, scalars
        else.
      averaged: Tickets averaged, int32 scalar.
      kept: Counts to prune to, an int32 tree of scalars: those of the first ticket's leaves.
      dtypes: Scalars in the dtypes of the first ticket, to which the average is cast in the end.
    """

    params: PyTree
    mask: PyTree
    counts: PyTree
    averaged: jax.Array
    kept: PyTree
    dtypes: PyTree


class Superpose(NamedTuple):
    """A way of averaging tickets.

    Attributes:
      init: `ticket -> state`.
      step: `(state, ticket) -> state`, tickets in the order in which they were collected.
      ticket: `state -> Ticket` of the first ticket's count.
    """

    init: Callable[[Ticket], SuperposeState]
    step: Callable[[SuperposeState, Ticket], SuperposeState]
    ticket: Callable[[SuperposeState], Ticket]


def superpose(
    kind: str = "cia",
    *,
    decay: float = 0.8,
    prune: str = "step",
    scope: str = "global",
    prunable: sparsity.Prunable = sparsity.kernels,
) -> Superpose:
    """Build a running average of tickets, pruned by magnitude to the first one's exact count.

    The t-th ticket `θ` enters as `θ̄ ← θ̄ + c (θ - θ̄)`, weight by weight:
    `cia` (all count): `c = 1/t`, the plain mean, where a weight that a ticket lacks counts as 0;
    `caa` (those that have it): `c = 1/N` where the ticket's mask has the weight and 0 elsewhere, with `N` the number of
    tickets so far that have it;
    `cima` (moving average): `c = 1 - β`, so that early tickets weigh more the larger the decay `β`.
    Leaves that are never pruned (biases, batch statistics) are averaged alike and stay unpruned; integers stay the
    first ticket's. Averages accumulate in float32 or better.

    Pruning chooses among the weights that some ticket has. Where these are fewer than the count, all of them stay.
    All functions are pure and jittable.

    Args:
      kind: `'cia'`, `'caa'` or `'cima'`.
      decay: `β`, the weight of the average so far for `'cima'`, in [0, 1].
      prune: `'step'` hands the pruned average to the next step; `'end'` prunes only what `ticket` returns.
        `'caa'` keeps its average and counts unpruned either way: else the two would disagree.
      scope: `'global'` prunes all leaves together, `'layerwise'` each to the count of the first ticket's leaf.
      prunable: Which leaves are pruned: a predicate or a tree of bools.

    Returns:
      `Superpose(init, step, ticket)`. `step` raises ValueError if a ticket is of another structure or shape than
      the first.

    Raises:
      ValueError: If a setting is unknown or out of range.

    Example:
      >>> def ticket(*weights):
      ...     w = jnp.array([weights])
      ...     return Ticket({'w': w}, {'w': w != 0})
      >>> cia = superpose('cia')
      >>> state = cia.init(ticket(4.0, 3.0, 0.0, 0.0))
      >>> state = cia.step(state, ticket(5.0, 0.0, 2.0, 0.0))
      >>> cia.ticket(state).params['w'].tolist()
      [[4.5, 1.5, 0.0, 0.0]]

    References:
      Yin et al., Superposing Many Tickets into One, UAI 2022, section 3.2.2, Eq. 4, Algorithm 1.

    Departs from the paper:
      It leaves open whether the average is pruned globally or layer by layer; global is its code's choice. Its closed
      form of CIA prunes once (`prune='end'`), its Algorithm 1 every step (`prune='step'`).

    Departs from the authors' code:
      It averages the weights at the end of ordinary training too; to do so, pass that ticket to `init`. Its CAA
      is the running mean, here `'cia'`; its CIMA weighs the newest ticket by the decay, and crashes when called. It
      takes for tickets all files of a folder that are called models; here they are arguments. It prunes by a threshold,
      so that ties exceed the count and an average of too few weights gets a mask of all; here counts are exact.
    """
    one_of("superposition", kind, KINDS)
    one_of("prune", prune, WHEN)
    one_of("scope", scope, SCOPES)
    if not 0 <= decay <= 1:
        raise ValueError(f"decay: got {decay}, expected the weight of the average so far, in [0, 1]")

    def init(ticket: Ticket) -> SuperposeState:
        params = jax.tree.map(jnp.array, ticket.params)  # copies: donating the state leaves the ticket alone
        mask = sparsity.expand_mask(ticket.mask, params)
        return SuperposeState(
            params=jax.tree.map(_accumulated, params),
            mask=mask,
            counts=jax.tree.map(lambda averaged: averaged.astype(jnp.int32), _averaged(mask, kind)),
            averaged=jnp.ones((), jnp.int32),
            kept=sparsity.kept_per_leaf(mask, prunable),
            dtypes=jax.tree.map(lambda leaf: jnp.zeros((), leaf.dtype), params),
        )

    def step(state: SuperposeState, ticket: Ticket) -> SuperposeState:
        sparsity.ensure_same_shapes(ticket.params, state.params, "ticket")
        new = Ticket(ticket.params, sparsity.expand_mask(ticket.mask, state.params))
        after = _step(state, new, jnp.asarray(decay, jnp.float32), kind)
        if kind == "caa" or prune == "end":
            return after
        return _pruned(after, scope, _chosen(state, prunable))

    def ticket(state: SuperposeState) -> Ticket:
        pruned = _pruned(state, scope, _chosen(state, prunable))
        params = jax.tree.map(lambda leaf, like: leaf.astype(like.dtype), pruned.params, state.dtypes)
        return Ticket(params, pruned.mask)

    return Superpose(init, step, ticket)


@partial(jax.jit, static_argnames="kind")
def _step(state: SuperposeState, ticket: Ticket, decay: jax.Array, kind: str) -> SuperposeState:
    def towards(old: jax.Array, new: jax.Array, count: jax.Array, averaged: jax.Array) -> jax.Array:
        if not jnp.issubdtype(old.dtype, jnp.floating):
            return old
        share = 1 / jnp.maximum(count, 1).astype(old.dtype)
        if kind == "cima":
            share = (1 - decay).astype(old.dtype)
        return jnp.where(averaged, old + share * (new.astype(old.dtype) - old), old)

    averaged = _averaged(ticket.mask, kind)
    counts = jax.tree.map(lambda n, m: n + m.astype(jnp.int32), state.counts, averaged)
    params = jax.tree.map(towards, state.params, ticket.params, counts, averaged)
    mask = jax.tree.map(jnp.logical_or, state.mask, ticket.mask)
    return state._replace(params=params, mask=mask, counts=counts, averaged=state.averaged + 1)


def _averaged(mask: PyTree, kind: str) -> PyTree:
    """Tell which of a ticket's weights enter the average: all, or those it has."""
    if kind == "caa":
        return mask
    return jax.tree.map(lambda _: jnp.ones((), bool), mask)


def _accumulated(leaf: jax.Array) -> jax.Array:
    if not jnp.issubdtype(leaf.dtype, jnp.floating):
        return leaf
    return leaf.astype(sparsity.accumulator(leaf.dtype))


def _chosen(state: SuperposeState, prunable: sparsity.Prunable) -> tuple[bool, ...]:
    return tuple(sparsity.prunable_leaves(state.mask, prunable))


@partial(jax.jit, static_argnames=("scope", "chosen"))
def _pruned(state: SuperposeState, scope: str, chosen: tuple[bool, ...]) -> SuperposeState:
    scores = sparsity.magnitude(state.params)
    prunable = sparsity.as_tree(list(chosen), state.mask)
    if scope == "global":
        mask = sparsity.select(scores, state.mask, sum(jax.tree.leaves(state.kept)), prunable)
    else:
        mask = sparsity.select_per_leaf(scores, state.mask, state.kept, prunable)
    params = sparsity.apply_mask(state.params, sparsity.with_scalars(mask, prunable))
    return state._replace(params=params, mask=mask)
