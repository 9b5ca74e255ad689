"""Masks that change while a network trains: dynamic sparse training, as one optax transform."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from lpjax import sparsity
from lpjax.transforms import prune as prune_rules
from lpjax.transforms.drop import smallest
from lpjax.transforms.fixed_mask import (
    ensure_arrays,
    ensure_resettable,
    is_placeholder,
    project,
    require_params,
    reset_moments,
)
from lpjax.transforms.grow import by_average
from lpjax.transforms.mask_update import MaskUpdate
from lpjax.transforms.redistribute import as_dropped, by_momentum

PyTree = Any
Drop = Callable[[MaskUpdate, jax.Array, PyTree], PyTree]
Grow = Callable[[MaskUpdate], PyTree]
Redistribute = Callable[[MaskUpdate, PyTree, PyTree], PyTree]
Prune = Callable[[MaskUpdate, jax.Array], PyTree]
Allocate = Callable[..., PyTree]
"""`(params, density, *, prunable, stacked, min_kept) -> counts`, such as `lpjax.erk`."""


class DynamicSparseState(NamedTuple):
    """Everything that a changing mask needs to go on: arrays only, each in a buffer of its own.

    Attributes:
      step: Steps done, int32 scalar.
      key: Data of a PRNG key, uint32; an update at step `n` uses `fold_in(key, n)`.
      mask: Bool tree.
      explored: Bool tree: what was kept before and may not be now; `get_explored` adds the mask itself.
      average: Exponential average of dense gradients; `()` where no rule asks for it.
      inner: State of the wrapped optimizer.
    """

    step: jax.Array
    key: jax.Array
    mask: PyTree
    explored: PyTree
    average: PyTree
    inner: optax.OptState


def dynamic_sparse(
    inner: optax.GradientTransformation,
    density: float | None,
    *,
    mask: PyTree | None = None,
    prunable: sparsity.Prunable = sparsity.kernels,
    stacked: sparsity.Stacked = None,
    min_kept: int = 0,
    allocate: Allocate = sparsity.erk,
    every: int | None = None,
    until: int | None = None,
    extra_updates: Sequence[int] = (),
    drop: Drop = smallest,
    drop_fraction: float | optax.Schedule = 0.3,
    grow: Grow | None = None,
    regrow: bool = True,
    redistribute: Redistribute = as_dropped,
    initial_density: float | None = None,
    pruning_schedule: optax.Schedule | None = None,
    prune: Prune = prune_rules.globally,
    average_decay: float | None = None,
    key: jax.Array | int = 0,
) -> optax.GradientTransformationExtraArgs:
    """Wrap an optimizer so that a network trains sparse, inside a mask that is updated now and then.

    Every step is the inner optimizer's step on masked gradients and parameters, and ends on the mask. A mask update
    follows the step: the mask is pruned to `n_f + round((n_i - n_f) pruning_schedule(step))` weights (`n_i` the initial
    and `n_f` the final number), `drop` removes some of them, `grow` scores the inactive ones, `redistribute` says how
    many grow in which leaf. What grows starts at 0 with the optimizer's initial state; what is dropped and grown in the
    same update keeps its value and its moments.

    Gradients must be dense: differentiate with respect to the parameters themselves, never through `params * mask`. A
    plain training loop does so. Its first gradient is that of the dense network it starts from; to have that one sparse
    too, start from `apply_mask(params, get_mask(state))`. Steps are those of the optimizer: inside `optax.MultiSteps`,
    one for every accumulated batch.

    The rules are functions in `lpjax.transforms`: drop rules `smallest`, `smallest_global`, `set_rule`; grow rules
    `by_gradient`, `by_average`, `random_growth`, `prefer_unexplored`; redistribution rules `as_dropped`,
    `by_survivors`, `by_momentum`; prune rules `globally`, `in_proportion`.

    Args:
      inner: The optimizer, learning rate and gradient clipping included. What comes before in a chain sees dense
        gradients, so clipping there clips by the norm of the dense gradient. Nothing may come after: it would move
        weights off the mask (`lpjax.assert_on_mask` checks).
      density: Share of the prunable weights that is kept at the end, in (0, 1]; None to take that of `mask`.
      mask: Bool tree to start from, such as a ticket's; by default one is drawn at random. It is copied at `init`.
      prunable: Which leaves are sparse: a predicate or a tree of bools; by default the kernels of matrix products and
        convolutions (`lpjax.summary` lists them).
      stacked: Predicate or tree saying how many leading axes of a leaf index layers, as `flax.linen.scan` makes them;
        every layer then has its own budget.
      min_kept: Weights that every leaf (or layer) keeps at least.
      allocate: Shares the initial density among the leaves: `lpjax.erk`, `lpjax.uniform`.
      every: Steps between updates, the first after step `every`; None for no periodic update.
      until: The last step after which an update may happen; None for no end.
      extra_updates: Further steps after which the mask is updated once.
      drop: Chooses survivors.
      drop_fraction: Share of the kept weights to drop, in [0, 1), or a schedule of it by step.
      grow: Scores what may grow; None for neither drop nor growth.
      regrow: Whether what was dropped in the same update may grow.
      redistribute: Counts what each leaf grows.
      initial_density: The density that pruning starts from; `density`, or that of `mask`, by default.
      pruning_schedule: Share of the way from the initial to the final density still to go, by step: 1 at first, 0 at
        the end.
      prune: Prunes by magnitude.
      average_decay: Decay of the average of dense gradients that `by_average` and `by_momentum` need; None to keep
        none.
      key: A PRNG key or an integer seed. It enters the state at `init`, so that `vmap` over keys trains replicates.

    Returns:
      A transform; `update` needs `params`.

    Raises:
      TypeError: If a number is not a Python number (with `optax.inject_hyperparams`, inject the inner optimizer's); at
        `init`, if a parameter is not an array or the inner optimizer's moments cannot be told from its other arrays.
      ValueError: If a number is out of range; at `init`, if nothing is prunable or the mask does not fit.

    Example:
      >>> from lpjax.transforms import by_gradient
      >>> params = {'w': jnp.ones((4, 5))}
      >>> tx = dynamic_sparse(optax.sgd(0.1), 0.25, every=100, until=7500, grow=by_gradient)
      >>> state = tx.init(params)
      >>> updates, state = tx.update({'w': jnp.ones((4, 5))}, state, params)
      >>> int(jnp.sum(optax.apply_updates(params, updates)['w'] != 0))
      5

    References:
      Mocanu et al., Nature Communications 2018; Evci et al., Rigging the Lottery, ICML 2020, Algorithm 1.

    Departs from the authors' code:
      Exact counts: theirs drops ties together, grows at random in expectation only, and takes kept weights for
      growth where gradients are zero. RigL's own code skips the optimizer's step when the mask is updated; here, as in
      the code of ITOP, GraNet and Sup-tickets, the update follows the step.
    """
    _check_density(density, mask, initial_density, pruning_schedule)
    _check_rules(
        min_kept, drop_fraction, allocate=allocate, drop=drop, grow=grow, redistribute=redistribute, prune=prune
    )
    _check_times(every, until, extra_updates)
    mask_changes = every is not None or bool(extra_updates)
    if mask_changes and grow is None and pruning_schedule is None:
        raise ValueError("grow: got None, and no pruning_schedule; an update of the mask needs one of them")
    if average_decay is None and (grow is by_average or redistribute is by_momentum):
        raise ValueError("average_decay: got None, but a rule needs the average of gradients; give a decay such as 0.9")
    final_density = 1.0 if density is None else density  # not used where the mask's own density stays
    first_density = final_density if initial_density is None else initial_density
    optimizer = optax.with_extra_args_support(inner)
    first_key = _typed_key(key)
    key_impl = jax.random.key_impl(first_key)

    def init(params: PyTree) -> DynamicSparseState:
        draw_key, update_key = jax.random.split(first_key)
        if is_placeholder(params):
            first_mask = explored = masked = params
        else:
            ensure_arrays(params)
            ensure_resettable(optimizer, params)
            first_mask = _first_mask(params, draw_key)
            explored = jax.tree.map(jnp.zeros_like, first_mask)
            masked = sparsity.apply_mask(params, first_mask)
        average = () if average_decay is None else jax.tree.map(jnp.zeros_like, masked)
        return DynamicSparseState(
            step=jnp.zeros((), jnp.int32),
            key=jax.random.key_data(update_key),
            mask=first_mask,
            explored=explored,
            average=average,
            inner=optimizer.init(masked),
        )

    def _first_mask(params: PyTree, draw_key: jax.Array) -> PyTree:
        full = sparsity.full_mask(params)
        total = sparsity.total(full, prunable)
        if mask is not None:
            given = sparsity.expand_mask(mask, params)
            if pruning_schedule is None:
                _check_density_of(given, density, prunable)
            return given
        if not round(final_density * total):
            raise ValueError(
                f"density: got {density} of {total} weights, which keeps none; give {1 / total:.2g} or more"
            )
        counts = allocate(params, first_density, prunable=prunable, stacked=stacked, min_kept=min_kept)
        drawn = sparsity.select_per_leaf(sparsity.random(draw_key, params), full, counts, prunable)
        drawn = jax.tree.map(jnp.logical_and, drawn, full)  # varies over mapped axes as the parameters do
        drawn = jax.tree.map(sparsity.like_parameter, drawn, params)
        sparsity.warn_empty_leaves(drawn, prunable, stacked)
        return drawn

    def update(
        grads: PyTree, state: DynamicSparseState, params: PyTree | None = None, **extra: Any
    ) -> tuple[Any, DynamicSparseState]:
        params = require_params(params, grads)
        step = optax.safe_increment(state.step)
        average = () if average_decay is None else optax.tree.update_moment(grads, state.average, average_decay, 1)
        masked_params = sparsity.apply_mask(params, state.mask)

        def inner_update() -> tuple[PyTree, optax.OptState]:
            return optimizer.update(sparsity.apply_mask(grads, state.mask), state.inner, masked_params, **extra)

        def changed_masks() -> tuple[PyTree, PyTree]:
            moved = optax.apply_updates(params, project(inner_update()[0], params, state.mask))
            mask_update = MaskUpdate(
                params=moved,
                grads=grads,
                average=average,
                mask=state.mask,
                explored=jax.tree.map(jnp.logical_or, state.explored, state.mask),
                key=jax.random.fold_in(jax.random.wrap_key_data(state.key, impl=key_impl), step),
                prunable=sparsity.as_tree(sparsity.prunable_leaves(params, prunable), params),
                stacked=sparsity.as_tree(sparsity.stacked_axes(params, stacked), params),
                min_kept=min_kept,
            )
            return _changed_mask(mask_update, step), mask_update.explored

        updates, moments = inner_update()
        new_mask = state.mask
        explored = state.explored
        if mask_changes:
            # The branch gives masks alone and computes the step anew: what else it gave would be copied at every step.
            new_mask, explored = lax.cond(_is_update_step(step), changed_masks, lambda: (state.mask, state.explored))
        kept_before_and_after = jax.tree.map(jnp.logical_and, state.mask, new_mask)
        moments = reset_moments(optimizer, moments, kept_before_and_after, masked_params)
        after = DynamicSparseState(step, state.key, new_mask, explored, average, moments)
        return project(updates, params, kept_before_and_after), after

    def _is_update_step(step: jax.Array) -> jax.Array:
        is_update = jnp.zeros((), bool)
        if every is not None:
            is_update = (step % every == 0) & (step > 0)
        if until is not None:
            is_update = is_update & (step <= until)
        for extra_step in extra_updates:
            is_update = is_update | (step == extra_step)
        return is_update

    def _changed_mask(update: MaskUpdate, step: jax.Array) -> PyTree:
        float_step = step.astype(jnp.float32)  # optax's schedules mix their floats with the step
        if pruning_schedule is not None:
            to_go = jnp.asarray(pruning_schedule(float_step), jnp.float32)
            update = update._replace(mask=prune(update, _pruned_count(update, to_go)))
        if grow is None:
            return update.mask
        before = update.mask
        inactive = _inactive(before)
        most = _kept_per_leaf(update, before if regrow else inactive)
        fraction = drop_fraction(float_step) if callable(drop_fraction) else jnp.float32(drop_fraction)
        update = update._replace(mask=drop(update, fraction, most))
        dropped = jax.tree.map(jnp.subtract, _kept_per_leaf(update, before), _kept_per_leaf(update, update.mask))
        candidates = _inactive(update.mask) if regrow else inactive
        counts = redistribute(update, dropped, _kept_per_leaf(update, candidates))
        grown = sparsity.select_per_leaf(grow(update), candidates, counts, update.prunable)
        return jax.tree.map(jnp.logical_or, update.mask, grown)

    def _pruned_count(update: MaskUpdate, to_go: jax.Array) -> jax.Array:
        """Interpolate between integers, so that the last density is met exactly."""
        total = sparsity.total(update.mask, update.prunable)
        if mask is None:
            first = jnp.asarray(round(first_density * total), jnp.int32)
        else:
            first = sparsity.kept(sparsity.expand_mask(mask, update.params), update.prunable)
        last = jnp.minimum(round(final_density * total), first)
        return last + jnp.round((first - last).astype(jnp.float32) * to_go).astype(jnp.int32)

    return optax.GradientTransformationExtraArgs(init, update)


def _typed_key(key: jax.Array | int) -> jax.Array:
    if not isinstance(key, jax.Array):
        return jax.random.key(key)
    if jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        return key
    return jax.random.wrap_key_data(key)  # a raw key, as jax.random.PRNGKey makes them


def _kept_per_leaf(update: MaskUpdate, mask: PyTree) -> PyTree:
    return sparsity.kept_per_leaf(mask, update.prunable, update.stacked)


def _inactive(mask: PyTree) -> PyTree:
    return jax.tree.map(jnp.logical_not, mask)


def _check_density(
    density: float | None, mask: PyTree | None, initial_density: float | None, pruning_schedule: optax.Schedule | None
) -> None:
    if density is None and (mask is None or pruning_schedule is not None):
        raise ValueError("density: got None; give a fraction in (0, 1], or a mask whose density stays")
    _check_fraction("density", density)
    _check_fraction("initial_density", initial_density)
    if mask is not None or density is None or initial_density is None:
        return
    if initial_density < density:
        raise ValueError(f"initial_density: got {initial_density}, below density {density}; masks are only pruned")
    if initial_density != density and pruning_schedule is None:
        raise ValueError(f"pruning_schedule: got None, but masks go from {initial_density} to {density}; give the way")


def _check_fraction(name: str, value: float | None) -> None:
    if value is None:
        return
    if not isinstance(value, int | float | np.number):
        raise TypeError(
            f"{name}: got a {type(value).__name__}, expected a Python number; counts of weights are static "
            "(with optax.inject_hyperparams, inject the inner optimizer's hyperparameters)"
        )
    if not 0 < value <= 1:
        raise ValueError(f"{name}: got {value}, expected a fraction in (0, 1]")


def _check_rules(min_kept: int, drop_fraction: float | optax.Schedule, **rules: Any) -> None:
    if min_kept < 0 or min_kept != int(min_kept):
        raise ValueError(f"min_kept: got {min_kept}, expected an integer of 0 or more")
    if not callable(drop_fraction) and not 0 <= drop_fraction < 1:
        raise ValueError(f"drop_fraction: got {drop_fraction}, expected a fraction in [0, 1), or a schedule")
    for name, rule in rules.items():
        if rule is not None and not callable(rule):
            raise TypeError(f"{name}: got {rule!r}, expected a function, such as those of lpjax.transforms")


def _check_times(every: int | None, until: int | None, extra_updates: Sequence[int]) -> None:
    if every is None:
        return
    if every < 1 or every != int(every):
        raise ValueError(f"every: got {every}, expected 1 step or more, or None for a mask that stays")
    if until is not None and until < every and not extra_updates:
        raise ValueError(f"until: got {until}, before the first update at step {every}; give {every} or more")


def _check_density_of(mask: PyTree, density: float | None, prunable: sparsity.Prunable) -> None:
    """Refuse a mask of another density than the one asked for."""
    if density is None or any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(mask)):
        return
    got = sparsity.density(mask, prunable)
    if abs(got - density) > 0.005:
        raise ValueError(f"density: got {density}, but the mask has {got:.4g}; give density=None to keep the mask's")
