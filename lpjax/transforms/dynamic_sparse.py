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

    Every step is the inner optimizer's step on masked gradients and parameters, and ends on the mask. When a mask
    update is due, it follows the step: the mask is pruned to `n_f + round((n_i - n_f) pruning_schedule(step))` weights
    (`n_i` the initial and `n_f` the final number),
    `drop` removes some of them, `grow` scores the inactive ones, `redistribute` says how many grow in which leaf. What
    grows starts at 0 with the optimizer's initial state; what is dropped and grown in the same update keeps its value
    and its moments.

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
    _check_numbers(density, mask, initial_density, pruning_schedule, drop_fraction)
    _check_rules(min_kept, allocate=allocate, drop=drop, grow=grow, redistribute=redistribute, prune=prune)
    changing = every is not None or bool(extra_updates)
    if changing and grow is None and pruning_schedule is None:
        raise ValueError("grow: got None, and no pruning_schedule; an update of the mask needs one of them")
    _check_times(every, until, extra_updates)
    if average_decay is None and (grow is by_average or redistribute is by_momentum):
        raise ValueError("average_decay: got None, but a rule needs the average of gradients; give a decay such as 0.9")
    final = 1.0 if density is None else density  # not used where the mask's own density stays
    first_density = final if initial_density is None else initial_density
    optimizer = optax.with_extra_args_support(inner)
    typed_key = key if isinstance(key, jax.Array) else jax.random.key(key)
    if not jnp.issubdtype(typed_key.dtype, jax.dtypes.prng_key):
        typed_key = jax.random.wrap_key_data(typed_key)  # a raw key, as jax.random.PRNGKey makes them
    key_kind = jax.random.key_impl(typed_key)

    def init(params: PyTree) -> DynamicSparseState:
        draw, later = jax.random.split(typed_key)
        if is_placeholder(params):
            first, before, masked = params, params, params
        else:
            ensure_arrays(params)
            ensure_resettable(optimizer, params)
            first = _initial_mask(params, draw)
            before = jax.tree.map(jnp.zeros_like, first)
            masked = sparsity.apply_mask(params, first)
        gradients = () if average_decay is None else jax.tree.map(jnp.zeros_like, masked)
        step = jnp.zeros((), jnp.int32)
        return DynamicSparseState(step, jax.random.key_data(later), first, before, gradients, optimizer.init(masked))

    def _initial_mask(params: PyTree, draw: jax.Array) -> PyTree:
        everything = sparsity.full_mask(params)
        number = sparsity.total(everything, prunable)
        if mask is not None:
            given = sparsity.expand_mask(mask, params)
            _check_density_of(given, density if pruning_schedule is None else None, prunable)
            return given
        if not round(final * number):
            raise ValueError(
                f"density: got {density} of {number} weights, which keeps none; give {1 / number:.2g} or more"
            )
        counts = allocate(params, first_density, prunable=prunable, stacked=stacked, min_kept=min_kept)
        scores = sparsity.random(draw, params)
        chosen = sparsity.select_per_leaf(scores, everything, counts, prunable)
        chosen = jax.tree.map(jnp.logical_and, chosen, everything)  # varies over mapped axes as the parameters do
        chosen = jax.tree.map(sparsity.like_parameter, chosen, params)
        sparsity.warn_empty_leaves(chosen, prunable, stacked)
        return chosen

    def update(
        grads: PyTree, state: DynamicSparseState, params: PyTree | None = None, **extra: Any
    ) -> tuple[Any, DynamicSparseState]:
        params = require_params(params, grads)
        step = optax.safe_increment(state.step)
        memory = () if average_decay is None else optax.tree.update_moment(grads, state.average, average_decay, 1)
        masked_params = sparsity.apply_mask(params, state.mask)

        def stepped() -> tuple[PyTree, optax.OptState]:
            return optimizer.update(sparsity.apply_mask(grads, state.mask), state.inner, masked_params, **extra)

        def changed() -> tuple[PyTree, PyTree]:
            reached = optax.apply_updates(params, project(stepped()[0], params, state.mask))
            subkey = jax.random.fold_in(jax.random.wrap_key_data(state.key, impl=key_kind), step)
            view = MaskUpdate(
                params=reached,
                grads=grads,
                average=memory,
                mask=state.mask,
                explored=jax.tree.map(jnp.logical_or, state.explored, state.mask),
                key=subkey,
                prunable=sparsity.as_tree(sparsity.prunable_leaves(params, prunable), params),
                stacked=sparsity.as_tree(sparsity.stacked_axes(params, stacked), params),
                min_kept=min_kept,
            )
            return change(view, step), view.explored

        updates, moments = stepped()
        new_mask, explored = state.mask, state.explored
        if changing:
            # The branch gives masks alone and computes the step anew: what else it gave would be copied at every step.
            new_mask, explored = lax.cond(due(step), changed, lambda: (state.mask, state.explored))
        stay = jax.tree.map(jnp.logical_and, state.mask, new_mask)
        moments = reset_moments(optimizer, moments, stay, masked_params)
        after = DynamicSparseState(step, state.key, new_mask, explored, memory, moments)
        return project(updates, params, stay), after

    def due(count: jax.Array) -> jax.Array:
        periodic = jnp.zeros((), bool) if every is None else (count % every == 0) & (count > 0)
        in_time = periodic if until is None else periodic & (count <= until)
        for step in extra_updates:
            in_time = in_time | (count == step)
        return in_time

    def change(view: MaskUpdate, count: jax.Array) -> PyTree:
        clock = count.astype(jnp.float32)  # optax's schedules mix their floats with the step
        if pruning_schedule is not None:
            to_go = jnp.asarray(pruning_schedule(clock), jnp.float32)
            view = view._replace(mask=prune(view, _pruned_count(view, to_go)))
        if grow is None:
            return view.mask
        before = view.mask
        inactive = _inactive(before)
        room = _kept(view, before if regrow else inactive)
        fraction = drop_fraction(clock) if callable(drop_fraction) else jnp.float32(drop_fraction)
        view = view._replace(mask=drop(view, fraction, room))
        freed = jax.tree.map(jnp.subtract, _kept(view, before), _kept(view, view.mask))
        candidates = _inactive(view.mask) if regrow else inactive
        counts = redistribute(view, freed, _kept(view, candidates))
        grown = sparsity.select_per_leaf(grow(view), candidates, counts, view.prunable)
        return jax.tree.map(jnp.logical_or, view.mask, grown)

    def _pruned_count(view: MaskUpdate, to_go: jax.Array) -> jax.Array:
        """Count integers at both ends, so that the last density is met exactly."""
        number = sparsity.total(view.mask, view.prunable)
        most = jnp.asarray(round(first_density * number), jnp.int32)
        if mask is not None:
            most = sparsity.kept(sparsity.expand_mask(mask, view.params), view.prunable)
        least = jnp.minimum(round(final * number), most)
        return least + jnp.round((most - least).astype(jnp.float32) * to_go).astype(jnp.int32)

    return optax.GradientTransformationExtraArgs(init, update)


def _kept(view: MaskUpdate, mask: PyTree) -> PyTree:
    return sparsity.kept_per_leaf(mask, view.prunable, view.stacked)


def _inactive(mask: PyTree) -> PyTree:
    return jax.tree.map(jnp.logical_not, mask)


def _check_numbers(
    density: float | None,
    mask: PyTree | None,
    initial_density: float | None,
    pruning_schedule: optax.Schedule | None,
    drop_fraction: float | optax.Schedule,
) -> None:
    if density is None and (mask is None or pruning_schedule is not None):
        raise ValueError("density: got None; give a fraction in (0, 1], or a mask whose density stays")
    for name, value in {"density": density, "initial_density": initial_density}.items():
        if value is None:
            continue
        if not isinstance(value, int | float | np.number):
            raise TypeError(
                f"{name}: got a {type(value).__name__}, expected a Python number; counts of weights are static "
                "(with optax.inject_hyperparams, inject the inner optimizer's hyperparameters)"
            )
        if not 0 < value <= 1:
            raise ValueError(f"{name}: got {value}, expected a fraction in (0, 1]")
    if not callable(drop_fraction) and not 0 <= drop_fraction < 1:
        raise ValueError(f"drop_fraction: got {drop_fraction}, expected a fraction in [0, 1), or a schedule")
    if mask is not None:
        return
    if density is not None and initial_density is not None and initial_density < density:
        raise ValueError(f"initial_density: got {initial_density}, below density {density}; masks are only pruned")
    if initial_density not in (None, density) and pruning_schedule is None:
        raise ValueError(f"pruning_schedule: got None, but masks go from {initial_density} to {density}; give the way")


def _check_rules(min_kept: int, **rules: Any) -> None:
    if min_kept < 0 or min_kept != int(min_kept):
        raise ValueError(f"min_kept: got {min_kept}, expected an integer of 0 or more")
    for name, rule in rules.items():
        if rule is not None and not callable(rule):
            raise TypeError(f"{name}: got {rule!r}, expected a function, such as those of lpjax.transforms")


def _check_times(every: int | None, until: int | None, extra_updates: Sequence[int]) -> None:
    if every is not None and (every < 1 or every != int(every)):
        raise ValueError(f"every: got {every}, expected 1 step or more, or None for a mask that stays")
    if every is not None and until is not None and until < every and not extra_updates:
        raise ValueError(f"until: got {until}, before the first update at step {every}; give {every} or more")


def _check_density_of(mask: PyTree, density: float | None, prunable: sparsity.Prunable) -> None:
    """Refuse a mask of another density than the one asked for, where the density stays."""
    if density is None or any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(mask)):
        return
    got = sparsity.density(mask, prunable)
    if abs(got - density) > 0.005:
        raise ValueError(f"density: got {density}, but the mask has {got:.4g}; give density=None to keep the mask's")
