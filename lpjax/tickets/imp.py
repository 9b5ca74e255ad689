"""Iterative magnitude pruning, as a pair of pure functions: the user trains, `step` prunes and rewinds."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lpjax import sparsity
from lpjax.choices import one_of
from lpjax.tickets.counts import CountRule, torch_rule
from lpjax.types import Ticket

PyTree = Any
Score = Callable[[PyTree, int], PyTree]
"""`(params, level) -> scores`; the lowest are pruned."""

SCOPES = ("global", "layerwise")


class IMPState(NamedTuple):
    """One level of iterative pruning; enough to go on from.

    Attributes:
      level: Number of prunings done.
      params: What the level trains from, zero outside the mask. In buffers of its own: training may donate them.
      mask: The level's mask.
      rewind_point: What the levels after the first restart from; `()` with learning-rate rewinding.
    """

    level: int
    params: PyTree
    mask: PyTree
    rewind_point: PyTree


class IMP(NamedTuple):
    """The algorithm.

    Attributes:
      init: `(params, mask=None) -> state` of level 0; the mask is full by default.
      step: `(state, trained, rewind_point=None) -> state` of the next level.
    """

    init: Callable[..., IMPState]
    step: Callable[..., IMPState]


def by_magnitude(params: PyTree, level: int) -> PyTree:
    """Score weights by their size.

    Args:
      params: Trained parameters.
      level: Ignored.

    Returns:
      Scores `|w|`.
    """
    del level
    return _magnitude(params)


def random_score(key: jax.Array) -> Score:
    """Build a score that prunes at random: the usual control.

    Args:
      key: A PRNG key; level `n` draws from `fold_in(key, n)`.

    Returns:
      `(params, level) -> scores`.
    """
    return lambda params, level: sparsity.random(jax.random.fold_in(key, level), params)


def imp(
    prune_fraction: float = 0.2,
    *,
    score: Score = by_magnitude,
    scope: str = "global",
    count_rule: CountRule = torch_rule,
    never_pruned: int = 0,
    min_kept: int = 0,
    rewind: bool = True,
    prunable: sparsity.Prunable = sparsity.kernels,
    stacked: sparsity.Stacked = None,
) -> IMP:
    """Build iterative magnitude pruning (IMP), with rewinding or with learning-rate rewinding (LRR).

    A level is trained by the caller, from `state.params` inside `state.mask` (see `lpjax.fixed_mask`). `step` then
    removes the share `prune_fraction` of the kept weights, those of smallest magnitude after training, and rewinds:
    the next level restarts from the rewind point, or, with `rewind=False`, from the trained weights, while the caller
    starts the learning rate over (LRR).

    `step` looks at counts, so it runs outside `jit`.

    Args:
      prune_fraction: Share of the kept weights removed per level, in (0, 1).
      score: What decides, `(params, level) -> scores`: `by_magnitude`, or `random_score(key)`.
      scope: `'global'` ranks all weights together, `'layerwise'` those of each leaf (or layer).
      count_rule: How many weights a level keeps: `torch_rule`, `openlth_rule`.
      never_pruned: Number of unpruned weights that `openlth_rule` includes in its count; for scope `'global'` only.
      min_kept: Weights that every leaf (or layer) keeps at least, even where `count_rule` would leave fewer.
      rewind: Whether the next level restarts from the rewind point. False is learning-rate rewinding.
      prunable: Which leaves are pruned: a predicate or a tree of bools.
      stacked: How many leading axes of a leaf index layers; with scope `'layerwise'` every layer has its own count.

    Returns:
      `IMP(init, step)`. `init` copies what it is given. `step` takes the trained parameters and, at level 0, optionally
      the rewind point: the parameters after so many steps of training. Without it, levels restart from what `init`
      was given.

    Raises:
      TypeError: If `rewind` is not a bool; by `step`, if it is given a ticket in place of its parameters.
      ValueError: If a setting is out of range; by `step`, if trained parameters do not fit, a rewind point is given
        where none is used, or pruning leaves no weight.

    Example:
      >>> pruning = imp(prune_fraction=0.5)
      >>> state = pruning.init({'w': jnp.array([[3.0, -1.0], [2.0, 0.5]])})
      >>> state = pruning.step(state, trained={'w': jnp.array([[0.1, -4.0], [5.0, 0.2]])})
      >>> state.mask['w'].tolist(), state.params['w'].tolist()
      ([[False, True], [True, False]], [[0.0, -1.0], [2.0, 0.0]])

    References:
      Frankle and Carbin, The Lottery Ticket Hypothesis, ICLR 2019; Frankle et al., Linear Mode Connectivity and the
      Lottery Ticket Hypothesis, ICML 2020 (rewinding); Renda et al., Comparing Rewinding and Fine-tuning in Neural
      Network Pruning, ICLR 2020 (LRR); Yin et al., Lottery Pools, AAAI 2023, section 4.
    """
    if not isinstance(rewind, bool):
        raise TypeError(f"rewind: got {rewind!r}, expected True or False (False is learning-rate rewinding)")
    if not 0 < prune_fraction < 1:
        raise ValueError(f"prune_fraction: got {prune_fraction}, expected a fraction in (0, 1)")
    one_of("scope", scope, SCOPES)

    def count_after(counts: jax.Array) -> np.ndarray:
        """Apply the rule to a leaf, or to each of its layers."""
        before = np.asarray(counts)
        after = [count_rule(int(count), prune_fraction, 0) for count in before.ravel()]
        return np.maximum(np.asarray(after, np.int32).reshape(before.shape), np.minimum(before, min_kept))

    def prune(mask: PyTree, scores: PyTree) -> PyTree:
        chosen = tuple(sparsity.prunable_leaves(mask, prunable))
        axes = tuple(sparsity.stacked_axes(mask, stacked))
        before = _kept_per_leaf(mask, chosen, axes)
        if scope == "layerwise":
            return _select_per_leaf(scores, mask, jax.tree.map(count_after, before), chosen)
        count = count_rule(_total(before), prune_fraction, never_pruned)
        floors = sum(int(np.minimum(counts, min_kept).sum()) for counts in jax.tree.leaves(before))
        return _select(scores, mask, max(count, floors), chosen, axes, min_kept)

    def init(params: PyTree, mask: PyTree | None = None) -> IMPState:
        first_mask = sparsity.full_mask(params) if mask is None else sparsity.expand_mask(mask, params)
        sparsity.prunable_leaves(params, prunable)  # refuses parameters of which none is prunable
        rewind_point = _copy(params) if rewind else ()
        return IMPState(level=0, params=_masked(params, first_mask), mask=first_mask, rewind_point=rewind_point)

    def step(state: IMPState, trained: PyTree, rewind_point: PyTree | None = None) -> IMPState:
        if isinstance(trained, Ticket):
            raise TypeError("trained: got a Ticket, expected parameters; pass ticket.params")
        sparsity.ensure_same_shapes(trained, state.mask, "trained")
        if rewind_point is not None:
            _check_rewind_point(state, rewind, rewind_point)
        pruned = prune(state.mask, score(trained, state.level))
        mask = jax.tree.map(sparsity.like_parameter, pruned, state.mask)
        chosen = tuple(sparsity.prunable_leaves(mask, prunable))
        if not _total(_kept_per_leaf(mask, chosen, (0,) * len(chosen))):
            raise ValueError(f"prune_fraction: pruning leaves level {state.level + 1} without weights; stop before")
        sparsity.warn_empty_leaves(mask, prunable, stacked)
        point = state.rewind_point if rewind_point is None else _copy(rewind_point)
        if rewind and not jax.tree.leaves(point):
            raise ValueError("rewind: got True, but the state has no rewind point: it was made with rewind=False")
        start = point if rewind else trained
        return IMPState(state.level + 1, _masked(start, mask), mask, point)

    return IMP(init, step)


def _check_rewind_point(state: IMPState, rewind: bool, rewind_point: PyTree) -> None:
    if not rewind:
        raise ValueError("rewind_point: given, but rewind=False restarts from the trained weights")
    if state.level:
        raise ValueError(f"rewind_point: given at level {state.level}; it is captured while level 0 trains")
    sparsity.ensure_same_shapes(rewind_point, state.mask, "rewind_point")


_magnitude = jax.jit(sparsity.magnitude)  # as below, one program instead of one per shape


@jax.jit  # into buffers of its own
def _masked(params: PyTree, mask: PyTree) -> PyTree:
    return sparsity.apply_mask(params, mask)


@partial(jax.jit, static_argnames=("chosen", "axes"))
def _kept_per_leaf(mask: PyTree, chosen: tuple[bool, ...], axes: tuple[int, ...]) -> PyTree:
    return sparsity.kept_per_leaf(mask, sparsity.as_tree(list(chosen), mask), sparsity.as_tree(list(axes), mask))


def _total(counts: PyTree) -> int:
    return sum(int(np.sum(count, dtype=np.int64)) for count in jax.tree.leaves(jax.device_get(counts)))


def _copy(tree: PyTree) -> PyTree:
    return jax.tree.map(jnp.copy, tree)


@partial(jax.jit, static_argnames=("chosen", "axes", "min_kept"))
def _select(
    scores: PyTree, mask: PyTree, count: int, chosen: tuple[bool, ...], axes: tuple[int, ...], min_kept: int
) -> PyTree:
    prunable = sparsity.as_tree(list(chosen), mask)
    stacked = sparsity.as_tree(list(axes), mask)
    return sparsity.select(scores, mask, count, prunable, stacked=stacked, min_kept=min_kept)


@partial(jax.jit, static_argnames="chosen")
def _select_per_leaf(scores: PyTree, mask: PyTree, counts: PyTree, chosen: tuple[bool, ...]) -> PyTree:
    return sparsity.select_per_leaf(scores, mask, counts, sparsity.as_tree(list(chosen), mask))
