"""Masks that change while a network trains: dynamic sparse training, as one optax transform."""

from collections.abc import Callable, Sequence
from functools import reduce
from operator import and_, or_, sub
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from lpjax import sparsity
from lpjax.transforms.drop import smallest
from lpjax.transforms.grow import by_average
from lpjax.transforms.hold import forget, land
from lpjax.transforms.share import as_dropped, by_momentum
from lpjax.transforms.view import View

PyTree = Any
Drop = Callable[[View, jax.Array, PyTree], PyTree]
Grow = Callable[[View], PyTree]
Share = Callable[[View, PyTree, PyTree], PyTree]
Thin = Callable[[PyTree, PyTree, jax.Array], PyTree]


class EvolveState(NamedTuple):
    """Everything that a changing mask needs to go on.

    Attributes:
      step: Steps done, int32 scalar.
      key: A PRNG key; a change at step `n` uses `fold_in(key, n)`.
      mask: Total bool tree.
      explored: Of the same structure: what has ever lived.
      average: Exponential average of dense gradients; `()` where no rule asks for it.
      inner: State of the wrapped optimizer.
    """

    step: jax.Array
    key: jax.Array
    mask: PyTree
    explored: PyTree
    average: PyTree
    inner: optax.OptState


def evolve(
    inner: optax.GradientTransformation,
    density: float,
    *,
    key: jax.Array | int = 0,
    prunable: sparsity.Prunable = sparsity.kernels,
    allocate: Callable[[PyTree, float], PyTree] = sparsity.erk,
    every: int | None = None,
    until: int | None = None,
    also: Sequence[int] = (),
    drop: Drop = smallest,
    drop_fraction: float | optax.Schedule = 0.3,
    grow: Grow | None = None,
    regrow: bool = True,
    share: Share = as_dropped,
    initial_density: float | None = None,
    thinning: optax.Schedule | None = None,
    thin: Thin = sparsity.select,
    average: float | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Wraps an optimizer so that a network trains sparse, inside a mask that changes now and then.

    Every update is the inner optimizer's on masked gradients and parameters, and lands on the mask. When a change is
    due, it follows upon the step: the mask is thinned to `n_f + round((n_i - n_f) thinning(step))` weights, `drop`
    removes some of them, `grow` scores the dead, `share` says how many grow in which leaf. What grows starts at 0
    with moments of 0; what is dropped and grown at once keeps its value and its moments.

    Gradients must be dense: differentiate with respect to the parameters themselves, never through `params * mask`. A
    plain training loop does so. Its first gradient is that of the dense network it starts from; to have that one sparse
    too, start from `apply_mask(params, mask_of(state))`. Steps are those of the optimizer: inside `optax.MultiSteps`,
    one for every accumulated batch.

    Args:
      inner: The optimizer, learning rate included. Other transforms may come before this one in a chain, none after: it
        would move weights off the mask.
      density: Share of the prunable weights that live at the end, in (0, 1].
      key: A PRNG key or an integer seed. It enters the state at `init`, so that `vmap` over keys trains replicates.
      prunable: Which parameters are sparse; by default `kernels`, those of two axes or more; see `by_path`.
      allocate: Shares the initial density among the leaves, `(mask, density) -> counts`: `erk`, `uniform`.
      every: Steps between changes, the first after step `every`; None for no periodic change.
      until: The last step after which a change may happen; None for no end.
      also: Further steps after which the mask changes once.
      drop: Chooses survivors: `smallest`, `smallest_overall`, `nearest_zero`.
      drop_fraction: Share of the living weights to drop, in [0, 1), or a schedule of it by step.
      grow: Scores what may grow: `by_gradient`, `by_average`, `at_random`, `unexplored`; None for neither drop
        nor growth.
      regrow: Whether what was dropped a moment ago may grow.
      share: Counts what each leaf grows: `as_dropped`, `by_survivors`, `by_momentum`.
      initial_density: Where thinning begins; `density` by default.
      thinning: Share of the way from the initial to the final density still to go, by step: 1 at first, 0 at the end.
      thin: Thins by magnitude, `(scores, mask, count) -> mask`: `sparsity.select` the tree as one,
        `in_proportion` leaf by leaf.
      average: Decay of the average of dense gradients that `by_average` and `by_momentum` need; None to keep none.

    Returns:
      A transform; `update` needs `params`.

    Raises:
      ValueError: At construction, if a number is out of range; at `init`, if nothing is prunable.

    Example:
      >>> from lpjax.transforms import by_gradient
      >>> params = {'w': jnp.ones((4, 5))}
      >>> tx = evolve(optax.sgd(0.1), 0.25, every=100, until=7500, grow=by_gradient)
      >>> state = tx.init(params)
      >>> updates, state = tx.update({'w': jnp.ones((4, 5))}, state, params)
      >>> int(jnp.sum(optax.apply_updates(params, updates)['w'] != 0))
      5

    References:
      Mocanu et al., Nature Communications 2018; Evci et al., Rigging the Lottery, ICML 2020, Algorithm 1.

    Departs from the authors' code:
      Exact counts: theirs drops ties together, grows at random in expectation only, and takes living weights for
      growth where gradients are zero. RigL's own code skips the optimizer's step when the mask changes; here, as in the
      code of ITOP, GraNet and Sup-tickets, the change follows upon the step.
    """
    _check_numbers(density, initial_density, thinning, drop_fraction)
    changing = every is not None or bool(also)
    if changing and grow is None and thinning is None:
        raise ValueError("the mask is due to change, but neither `grow` nor `thinning` says how; give one of them")
    _check_times(every, until, also)
    if average is None and (grow is by_average or share is by_momentum):
        raise ValueError("these rules need the average of gradients; give `average`, its decay, such as 0.9")
    optimizer = optax.with_extra_args_support(inner)
    first = density if initial_density is None else initial_density

    def init(params: PyTree) -> EvolveState:
        draw, later = jax.random.split(key if isinstance(key, jax.Array) else jax.random.key(key))
        if not jax.tree.leaves(params):  # optax.tree.map_params asks with a placeholder where parameters will be
            mask = params
        else:
            everything = sparsity.full_mask(params, prunable)
            if not round(density * (total := sparsity.total(everything))):
                raise ValueError(f"density {density} of {total} weights is none; give {1 / total:.2g} or more")
            mask = sparsity.select_per_leaf(sparsity.random(draw, params), everything, allocate(everything, first))
            params = sparsity.apply_mask(params, mask)
        gradients = () if average is None else jax.tree.map(jnp.zeros_like, params)
        return EvolveState(jnp.zeros((), jnp.int32), later, mask, mask, gradients, optimizer.init(params))

    def update(grads: PyTree, state: EvolveState, params: PyTree | None = None, **extra: Any) -> tuple[Any, Any]:
        if params is None:
            raise ValueError("sparse training needs the parameters; call update(grads, state, params)")
        step = optax.safe_increment(state.step)
        memory = () if average is None else optax.tree.update_moment(grads, state.average, average, 1)

        def stepped() -> tuple[PyTree, optax.OptState]:
            masked_grads, masked_params = (sparsity.apply_mask(tree, state.mask) for tree in (grads, params))
            return optimizer.update(masked_grads, state.inner, masked_params, **extra)

        def changed() -> tuple[PyTree, PyTree]:
            reached = optax.apply_updates(params, land(stepped()[0], params, state.mask))
            subkey = jax.random.fold_in(state.key, step)
            mask = change(View(reached, grads, memory, state.mask, state.explored, subkey), step)
            return mask, jax.tree.map(or_, state.explored, mask)

        updates, moments = stepped()
        mask, explored = state.mask, state.explored
        if changing:
            # The branch gives masks alone and computes the step anew: what else it gave would be copied at every step.
            mask, explored = lax.cond(due(step), changed, lambda: (state.mask, state.explored))
        stay = jax.tree.map(and_, state.mask, mask)
        moments = forget(optimizer, moments, stay)  # at every step: Adafactor's are nowhere 0 of themselves
        return land(updates, params, stay), EvolveState(step, state.key, mask, explored, memory, moments)

    def due(count: jax.Array) -> jax.Array:
        periodic = jnp.zeros((), bool) if every is None else (count % every == 0) & (count > 0)
        in_time = periodic if until is None else periodic & (count <= until)
        return reduce(or_, (count == step for step in also), in_time)

    def change(view: View, count: jax.Array) -> PyTree:
        clock = count.astype(jnp.float32)  # optax's schedules mix their floats with the step
        if thinning is not None:
            target = _thinned(sparsity.total(view.mask), first, density, thinning(clock))
            view = view._replace(mask=thin(sparsity.magnitude(view.params), view.mask, target))
        if grow is None:
            return view.mask
        before, dead = view.mask, _dead(view.mask)
        room = sparsity.kept_per_leaf(before if regrow else dead)
        fraction = drop_fraction(clock) if callable(drop_fraction) else jnp.float32(drop_fraction)
        view = view._replace(mask=drop(view, fraction, room))
        freed = jax.tree.map(sub, sparsity.kept_per_leaf(before), sparsity.kept_per_leaf(view.mask))
        candidates = _dead(view.mask) if regrow else dead
        counts = share(view, freed, sparsity.kept_per_leaf(candidates))
        return jax.tree.map(or_, view.mask, sparsity.select_per_leaf(grow(view), candidates, counts))

    return optax.GradientTransformationExtraArgs(init, update)


def _check_numbers(
    density: float,
    initial_density: float | None,
    thinning: optax.Schedule | None,
    drop_fraction: float | optax.Schedule,
) -> None:
    for name, value in {"density": density, "initial_density": initial_density}.items():
        if value is not None and not 0 < value <= 1:
            raise ValueError(f"{name} is {value}; give a fraction in (0, 1]")
    if not callable(drop_fraction) and not 0 <= drop_fraction < 1:
        raise ValueError(f"drop_fraction is {drop_fraction}; give a fraction in [0, 1), or a schedule")
    if initial_density is not None and initial_density < density:
        raise ValueError(f"initial_density is {initial_density}, below density {density}; masks are thinned only")
    if initial_density not in (None, density) and thinning is None:
        raise ValueError(f"initial_density is {initial_density}, density {density}; give `thinning`, the way between")


def _check_times(every: int | None, until: int | None, also: Sequence[int]) -> None:
    if every is not None and (every < 1 or every != int(every)):
        raise ValueError(f"every is {every}; give 1 step or more, or None for a mask that stays")
    if every is not None and until is not None and until < every and not also:
        raise ValueError(f"until is {until}, before the first change at step {every}; give {every} or more")


def _dead(mask: PyTree) -> PyTree:
    return jax.tree.map(lambda m: ~m if jnp.ndim(m) else m, mask)


def _thinned(total: int, first: float, last: float, to_go: jax.Array) -> jax.Array:
    """Counts integers at both ends, so that the last density is met exactly."""
    most, least = round(first * total), round(last * total)
    return least + jnp.round((most - least) * jnp.asarray(to_go, jnp.float32)).astype(jnp.int32)
