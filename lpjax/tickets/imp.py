"""Iterative magnitude pruning, as a pair of pure functions over levels.

`step` trains the network of one level inside its mask, takes the ticket, cuts the next mask and rewinds. How a network
is trained is the caller's affair, so the algorithm can be read, and tested, with a toy in place of a training run.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lpjax.choices import one_of
from lpjax.sparsity import apply_mask, kept, magnitude, random, select, select_per_leaf
from lpjax.tickets.counts import CountRule, torch_rule
from lpjax.types import Ticket, Variables

PyTree = Any
Score = Callable[[jax.Array, PyTree], PyTree]
"""`(key, params) -> scores`; the lowest are pruned."""

SCORES: dict[str, Score] = {"magnitude": lambda key, params: magnitude(params), "random": random}
SCOPES = ("global", "layerwise")


class IMPState(NamedTuple):
    """What one level hands to the next; enough to go on from.

    Attributes:
      level: Prunings done.
      mask: The level's mask.
      start: What the level trains from, before masking: the initial weights, the rewind point, or the last weights.
      key: For scores that draw.
    """

    level: int
    mask: PyTree
    start: Variables
    key: jax.Array


class Trained(NamedTuple):
    """What training one level yields.

    Attributes:
      ticket: The weights to keep: best on validation, or the last.
      last: The last weights.
      rewind_point: Weights and statistics at the rewind step; needed of level 0 alone.
    """

    ticket: Variables
    last: Variables
    rewind_point: Variables | None


class IMP(NamedTuple):
    """The algorithm.

    Attributes:
      init: `(variables, mask, key) -> state` of level 0.
      step: `state -> (state of the next level, ticket of this level)`.
    """

    init: Callable[[Variables, PyTree, jax.Array], IMPState]
    step: Callable[[IMPState], tuple[IMPState, Ticket]]


def imp(
    train: Callable[[int, Variables, PyTree], Trained],
    *,
    prune_fraction: float = 0.2,
    score: Score = SCORES["magnitude"],
    scope: str = "global",
    rule: CountRule = torch_rule,
    never_pruned: int = 0,
    mask_from: str = "last",
    rewind: bool = True,
) -> IMP:
    """Builds iterative magnitude pruning with rewinding.

    Args:
      train: `(level, variables, mask) -> Trained`; the variables come masked and must stay on the mask.
      prune_fraction: Share of the kept weights removed per level, in (0, 1).
      score: What decides; `SCORES['magnitude']` or `SCORES['random']`.
      scope: `'global'` ranks all weights together, `'layerwise'` those of each leaf.
      rule: How many a level keeps.
      never_pruned: Weights that `rule` counts but nothing prunes.
      mask_from: Cut the next mask from the `'last'` weights, as the originals do, or from the `'ticket'`.
      rewind: Whether the next level starts from the rewind point; if not, from the weights the mask was cut from.

    Returns:
      `IMP(init, step)`.

    Raises:
      ValueError: If a setting is out of range, or a level would be left without weights.

    Example:
      >>> toy = lambda level, variables, mask: Trained(variables, variables, variables)
      >>> pruning = imp(toy, prune_fraction=0.5)
      >>> weights = Variables({'w': jnp.array([3.0, -1.0, 2.0, 0.5])}, {})
      >>> state = pruning.init(weights, {'w': jnp.ones(4, bool)}, jax.random.key(0))
      >>> state, dense = pruning.step(state)
      >>> state.mask['w'].tolist()
      [True, False, True, False]

    References:
      Frankle and Carbin, The Lottery Ticket Hypothesis, ICLR 2019; Frankle et al., ICML 2020;
      Yin et al., Lottery Pools, AAAI 2023, section 4.
    """
    if not 0 < prune_fraction < 1:
        raise ValueError(f"prune_fraction {prune_fraction} is out of range; give a fraction in (0, 1)")
    one_of("scope", scope, SCOPES)
    one_of("mask_from", mask_from, ("last", "ticket"))

    def keep(count: int) -> int:
        return rule(count, prune_fraction, never_pruned)

    def prune(mask: PyTree, scores: PyTree) -> PyTree:
        if scope == "layerwise":
            counts = jax.tree.map(lambda m: keep(int(kept(m))) if jnp.ndim(m) else 0, mask)
            return _select_per_leaf(scores, mask, counts)
        return _select(scores, mask, keep(int(kept(mask))))

    def init(variables: Variables, mask: PyTree, key: jax.Array) -> IMPState:
        return IMPState(0, mask, variables, key)

    def step(state: IMPState) -> tuple[IMPState, Ticket]:
        if not kept(state.mask):
            raise ValueError(f"pruning left level {state.level} without weights; ask for fewer levels")
        trained = train(state.level, _masked(state.start, state.mask), state.mask)
        ticket = Ticket(_masked(trained.ticket, state.mask), state.mask)
        source = trained.last if mask_from == "last" else trained.ticket
        scores = score(jax.random.fold_in(state.key, state.level), source.params)
        start = source
        if rewind:
            start = state.start if state.level else _required(trained.rewind_point)
        mask = prune(state.mask, scores)
        return IMPState(state.level + 1, mask, start, state.key), ticket

    return IMP(init, step)


_select = jax.jit(select)
_select_per_leaf = jax.jit(select_per_leaf)


def _masked(variables: Variables, mask: PyTree) -> Variables:
    return variables._replace(params=apply_mask(variables.params, mask))


def _required(rewind_point: Variables | None) -> Variables:
    if rewind_point is None:
        raise ValueError("training level 0 gave no rewind point; capture the weights at the rewind step")
    return rewind_point
