"""Superposition: many cheap tickets of one training run averaged into one, at their density."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lpjax.choices import one_of
from lpjax.sparsity import apply_mask, ensure_same_structure, kept_per_leaf, magnitude, select, select_per_leaf
from lpjax.types import Ticket, Variables

PyTree = Any

KINDS = ("cia", "caa", "cima")
WHEN = ("step", "end")
SCOPES = ("global", "layerwise")


class SuperposeState(NamedTuple):
    """A superposition between two tickets.

    Attributes:
      variables: The average so far.
      mask: Where it may live: the union of the tickets' masks, pruned if every step prunes.
      counts: How many tickets each weight is averaged over, an int32 tree: of the weight's shape for `'caa'`, scalars
        else.
      seen: Tickets averaged, int32 scalar.
      kept: Counts to prune to, an int32 tree of scalars: those of the first ticket's leaves.
    """

    variables: Variables
    mask: PyTree
    counts: PyTree
    seen: jax.Array
    kept: PyTree


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


def superpose(kind: str = "cia", *, decay: float = 0.8, prune: str = "step", scope: str = "global") -> Superpose:
    """Builds a running average of tickets, pruned by magnitude to the first one's exact count.

    The t-th ticket `θ` enters as `θ̄ ← θ̄ + c (θ - θ̄)`, weight by weight:
    `cia` (all count): `c = 1/t`, the plain mean, where a weight that a ticket lacks counts as 0;
    `caa` (those that have it): `c = 1/N` where the ticket's mask has the weight and 0 elsewhere, with `N` the number of
    tickets so far that have it;
    `cima` (moving average): `c = 1 - β`, so that early tickets weigh more the larger the decay `β`.
    Parameters that are never pruned and statistics (means, variances) are averaged alike and stay unpruned.

    Pruning chooses among the weights that some ticket has. Where these are fewer than the count, all of them stay.
    All functions are pure and jittable.

    Args:
      kind: `'cia'`, `'caa'` or `'cima'`.
      decay: `β`, the weight of the average so far for `'cima'`, in [0, 1].
      prune: `'step'` hands the pruned average to the next step; `'end'` prunes only what `ticket` returns.
        `'caa'` keeps its average and counts unpruned either way: else the two would disagree.
      scope: `'global'` prunes all leaves together, `'layerwise'` each to the count of the first ticket's leaf.

    Returns:
      `Superpose(init, step, ticket)`. `step` raises ValueError if a ticket is of another network than the first.

    Raises:
      ValueError: If a setting is unknown or out of range.

    Example:
      >>> def ticket(*weights):
      ...     w = jnp.array(weights)
      ...     return Ticket(Variables({'w': w}, {}), {'w': w != 0})
      >>> cia = superpose('cia')
      >>> state = cia.init(ticket(4.0, 3.0, 0.0, 0.0))
      >>> state = cia.step(state, ticket(5.0, 0.0, 2.0, 0.0))
      >>> cia.ticket(state).variables.params['w'].tolist()
      [4.5, 1.5, 0.0, 0.0]

    References:
      Yin et al., Superposing Many Tickets into One, UAI 2022, section 3.2.2, Eq. 4, Algorithm 1.

    Departs from the paper:
      It leaves open whether the average is pruned globally or layer by layer; global is its code's choice. Its closed
      form of CIA prunes once (`prune='end'`), its Algorithm 1 every step (`prune='step'`).

    Departs from the authors' code:
      It averages the weights at the end of ordinary training too, unasked: who wants that hands them to `init`. Its CAA
      is the running mean, here `'cia'`; its CIMA weighs the newest ticket by the decay, and crashes when called. It
      takes for tickets all files of a folder that are called models; here they are arguments. It prunes by a threshold,
      so that ties exceed the count and an average of too few weights gets a mask of all; here counts are exact.
    """
    one_of("superposition", kind, KINDS)
    one_of("prune", prune, WHEN)
    one_of("scope", scope, SCOPES)
    if not 0 <= decay <= 1:
        raise ValueError(f"decay {decay} is out of range; give the weight of the average so far, in [0, 1]")

    def init(ticket: Ticket) -> SuperposeState:
        variables, mask = jax.tree.map(jnp.asarray, tuple(ticket))
        counts = jax.tree.map(lambda m: m.astype(jnp.int32), _averaged(mask, kind))
        return SuperposeState(variables, mask, counts, jnp.ones((), jnp.int32), kept_per_leaf(mask))

    def step(state: SuperposeState, ticket: Ticket) -> SuperposeState:
        ensure_same_structure(ticket.variables, state.variables, "the newest ticket")
        ensure_same_structure(ticket.mask, state.mask, "the newest ticket's mask")
        after = _step(state, ticket, jnp.asarray(decay, jnp.float32), kind)
        return after if kind == "caa" or prune == "end" else _pruned(after, scope)

    def ticket(state: SuperposeState) -> Ticket:
        pruned = _pruned(state, scope)
        return Ticket(pruned.variables, pruned.mask)

    return Superpose(init, step, ticket)


@partial(jax.jit, static_argnames="kind")
def _step(state: SuperposeState, ticket: Ticket, decay: jax.Array, kind: str) -> SuperposeState:
    def towards(old: jax.Array, new: jax.Array, count: jax.Array, averaged: jax.Array | bool = True) -> jax.Array:
        share = (1 - decay).astype(old.dtype) if kind == "cima" else 1 / jnp.maximum(count, 1).astype(old.dtype)
        return jnp.where(averaged, old + share * (new - old), old)

    averaged, seen = _averaged(ticket.mask, kind), state.seen + 1
    counts = jax.tree.map(lambda n, m: n + m.astype(jnp.int32), state.counts, averaged)
    params = jax.tree.map(towards, state.variables.params, ticket.variables.params, counts, averaged)
    stats = jax.tree.map(lambda old, new: towards(old, new, seen), state.variables.stats, ticket.variables.stats)
    mask = jax.tree.map(jnp.logical_or, state.mask, ticket.mask)
    return SuperposeState(Variables(params, stats), mask, counts, seen, state.kept)


def _averaged(mask: PyTree, kind: str) -> PyTree:
    """Tells which of a ticket's weights enter the average: all, or those it has."""
    return mask if kind == "caa" else jax.tree.map(lambda _: jnp.ones((), bool), mask)


@partial(jax.jit, static_argnames="scope")
def _pruned(state: SuperposeState, scope: str) -> SuperposeState:
    scores = magnitude(state.variables.params)
    if scope == "global":
        mask = select(scores, state.mask, sum(jax.tree.leaves(state.kept)))
    else:
        mask = select_per_leaf(scores, state.mask, state.kept)
    params = apply_mask(state.variables.params, mask)
    return state._replace(variables=state.variables._replace(params=params), mask=mask)
