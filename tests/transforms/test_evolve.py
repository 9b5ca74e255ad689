"""The engine of changing masks: when a mask changes, what that touches, and what is refused."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lpjax import sparsity
from lpjax.transforms import by_average, by_gradient, evolve, explored_of, granet, hold, mask_of, n_of_m, rigl, snip

PARAMS = {"a": jnp.linspace(-1.0, 1.0, 60).reshape(6, 10), "b": jnp.linspace(0.1, 2.0, 40).reshape(10, 4)}


def gradients(step):
    keys = jax.random.split(jax.random.key(step))
    return {name: jax.random.normal(key, PARAMS[name].shape) for name, key in zip(PARAMS, keys, strict=True)}


def masks(tx, steps):
    """Runs a transform and gives the mask after every step, the initial one first."""
    state, params, seen = tx.init(PARAMS), PARAMS, []
    update = jax.jit(tx.update)
    for step in range(steps):
        seen.append(jax.device_get(mask_of(state)))
        updates, state = update(gradients(step), state, params)
        params = optax.apply_updates(params, updates)
    return [*seen, jax.device_get(mask_of(state))]


def changes(tx, steps):
    seen = masks(tx, steps)
    same = [all(np.array_equal(x[n], y[n]) for n in x) for x, y in itertools.pairwise(seen)]
    return [step + 1 for step, unchanged in enumerate(same) if not unchanged]


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({"every": 3}, [3, 6, 9, 12]),
        ({"every": 3, "until": 9}, [3, 6, 9]),
        ({"every": 3, "until": 8}, [3, 6]),
        ({"also": (2, 7)}, [2, 7]),
        ({"every": 5, "until": 5, "also": (8,)}, [5, 8]),
        ({"every": 5, "until": 0, "also": (3,)}, [3]),
    ],
)
def test_the_mask_changes_when_it_is_due_and_at_no_other_step(when, expected):
    assert changes(evolve(optax.sgd(0.1), 0.3, grow=by_gradient, drop_fraction=0.5, **when), 12) == expected


def test_a_drop_fraction_of_zero_changes_nothing():
    assert changes(evolve(optax.sgd(0.1), 0.3, every=1, grow=by_gradient, drop_fraction=0.0), 4) == []


def test_without_regrowth_what_was_dropped_stays_dead_and_a_dense_leaf_drops_nothing():
    tx = evolve(optax.sgd(0.0), 0.3, every=1, grow=by_gradient, drop_fraction=0.5, regrow=False)
    before, after = masks(tx, 1)
    params = sparsity.apply_mask(PARAMS, before)
    dropped = jax.tree.map(lambda b, a: b & ~a, before, after)
    for name in PARAMS:
        smallest = np.sort(np.abs(np.asarray(params[name])[before[name]]))
        gone = np.abs(np.asarray(params[name])[dropped[name]])
        assert sorted(gone) == list(smallest[: len(gone)])
        assert len(gone) == np.ceil(0.5 * before[name].sum())
    dense = evolve(optax.sgd(0.0), 1.0, every=1, grow=by_gradient, drop_fraction=0.5, regrow=False)
    assert changes(dense, 2) == []


def test_a_regrown_weight_starts_at_zero_with_no_momentum_and_a_survivor_keeps_both():
    tx = evolve(optax.sgd(0.1, momentum=0.9), 0.3, every=2, grow=by_gradient, drop_fraction=0.5)
    state = tx.init(PARAMS)
    params = sparsity.apply_mask(PARAMS, state.mask)
    for step in range(2):
        before = state
        updates, state = tx.update(gradients(step), state, params)
        params = optax.apply_updates(params, updates)
    trace = optax.tree.get(state.inner, "trace")
    for name in PARAMS:
        new, old = np.asarray(state.mask[name]), np.asarray(before.mask[name])
        assert (new & ~old).any()
        assert not np.asarray(params[name])[new & ~old].any()
        assert not np.asarray(trace[name])[~(new & old)].any()
        assert np.asarray(trace[name])[new & old].all()


def test_explored_is_the_union_of_all_masks():
    tx = evolve(optax.sgd(0.1), 0.2, every=1, grow=by_gradient, drop_fraction=0.5)
    seen = masks(tx, 5)
    state, params = tx.init(PARAMS), PARAMS
    for step in range(5):
        updates, state = tx.update(gradients(step), state, params)
        params = optax.apply_updates(params, updates)
    for name in PARAMS:
        union = np.any([mask[name] for mask in seen], axis=0)
        np.testing.assert_array_equal(explored_of(state)[name], union)


def test_snip_spends_the_first_batch_on_the_mask_alone():
    tx = snip(optax.adam(optax.linear_schedule(0.1, 0.0, 10)), 0.25)
    before = tx.init(PARAMS)
    with jax.numpy_dtype_promotion("standard"):  # optax's schedules and adam
        updates, after = tx.update(gradients(0), before, PARAMS)
    landed = optax.apply_updates(PARAMS, updates)
    expected = sparsity.select(sparsity.saliency(PARAMS, gradients(0)), before.mask, 25)
    for name in PARAMS:
        np.testing.assert_array_equal(after.mask[name], expected[name])
        np.testing.assert_array_equal(landed[name], jnp.where(expected[name], PARAMS[name], 0))
    assert jax.tree.all(jax.tree.map(lambda a, b: bool(jnp.all(a == b)), before.inner, after.inner))
    assert (int(before.step), int(after.step)) == (-1, 0)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: rigl(optax.sgd(0.1), 0.0, until=10), r"density is 0.0; give a fraction in \(0, 1\]"),
        (lambda: rigl(optax.sgd(0.1), 1.5, until=10), "density is 1.5"),
        (lambda: rigl(optax.sgd(0.1), 0.5, until=10, drop_fraction=1.0), r"drop_fraction is 1.0; .* \[0, 1\)"),
        (lambda: rigl(optax.sgd(0.1), 0.5, until=10, drop_fraction=-0.1), "drop_fraction is -0.1"),
        (lambda: rigl(optax.sgd(0.1), 0.5, until=10, every=0), "every is 0; give 1 step or more"),
        (lambda: rigl(optax.sgd(0.1), 0.5, until=0), "until is 0, before the first change at step 100"),
        (lambda: granet(optax.sgd(0.1), 0.1, every=10, end=5), "end is 5, but no change happens by then"),
        (lambda: granet(optax.sgd(0.1), 0.1, every=10, end=50, until=20), "until is 20"),
        (lambda: n_of_m(optax.sgd(0.1), 0.3, end=5), "density is 0.3, but 2 of 4 is 0.5"),
        (lambda: evolve(optax.sgd(0.1), 0.1, initial_density=0.5), "give `thinning`"),
        (lambda: evolve(optax.sgd(0.1), 0.5, initial_density=0.1), "below density"),
        (lambda: evolve(optax.sgd(0.1), 0.5, every=10.5, grow=by_gradient), "every is 10.5"),
        (lambda: evolve(optax.sgd(0.1), 0.5, every=10), "neither `grow` nor `thinning`"),
        (lambda: evolve(optax.sgd(0.1), 0.001).init(PARAMS), "density 0.001 of 100 weights is none; give 0.01"),
        (lambda: evolve(optax.sgd(0.1), 0.5, every=1, grow=by_average), "give `average`"),
    ],
)
def test_a_number_out_of_range_is_refused_at_construction(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_a_tree_without_kernels_is_refused_at_init():
    with pytest.raises(ValueError, match="no prunable parameter"):
        rigl(optax.sgd(0.1), 0.1, until=100).init({"bias": jnp.zeros(3)})


def test_a_mask_of_another_structure_is_refused_at_init():
    with pytest.raises(ValueError, match=r"the mask of 'w' is absent, the parameter has shape \(2,\)"):
        hold(optax.sgd(0.1), {"v": jnp.ones(2, bool)}).init({"w": jnp.zeros(2)})
    with pytest.raises(ValueError, match=r"the mask of 'w' has shape \(3,\), the parameter has shape \(2,\)"):
        hold(optax.sgd(0.1), {"w": jnp.ones(3, bool)}).init({"w": jnp.zeros(2)})


def test_a_state_without_a_mask_is_refused():
    with pytest.raises(ValueError, match="holds no mask"):
        mask_of(optax.adam(0.1).init(PARAMS))


def test_parameters_in_the_state_can_be_mapped_over():
    tx = optax.chain(optax.clip(1.0), rigl(optax.adam(0.1), 0.3, until=100))
    state = tx.init(PARAMS)
    shapes = optax.tree.map_params(tx, lambda leaf, param: leaf.shape == param.shape, state, PARAMS)
    assert mask_of(shapes) == {"a": True, "b": True}
