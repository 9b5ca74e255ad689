"""The engine of changing masks: when a mask changes, what that touches, and what is refused."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lpjax import sparsity
from lpjax.transforms import (
    METHODS,
    by_average,
    by_gradient,
    by_momentum,
    dynamic_sparse,
    get_explored,
    get_mask,
    granet,
    n_of_m,
    rigl,
    snip,
)

PARAMS = {"a": jnp.linspace(-1.0, 1.0, 60).reshape(6, 10), "c": jnp.linspace(0.1, 2.0, 40).reshape(10, 4)}


def gradients(step):
    keys = jax.random.split(jax.random.key(step))
    return {name: jax.random.normal(key, PARAMS[name].shape) for name, key in zip(PARAMS, keys, strict=True)}


def masks(tx, steps):
    """Runs a transform and gives the mask after every step, the initial one first."""
    state, params, seen = tx.init(PARAMS), PARAMS, []
    update = jax.jit(tx.update)
    for step in range(steps):
        seen.append(jax.device_get(get_mask(state)))
        updates, state = update(gradients(step), state, params)
        params = optax.apply_updates(params, updates)
    return [*seen, jax.device_get(get_mask(state))]


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
        ({"extra_updates": (2, 7)}, [2, 7]),
        ({"every": 5, "until": 5, "extra_updates": (8,)}, [5, 8]),
        ({"every": 5, "until": 0, "extra_updates": (3,)}, [3]),
    ],
)
def test_the_mask_changes_when_it_is_due_and_at_no_other_step(when, expected):
    assert changes(dynamic_sparse(optax.sgd(0.1), 0.3, grow=by_gradient, drop_fraction=0.5, **when), 12) == expected


def test_a_drop_fraction_of_zero_changes_nothing():
    assert changes(dynamic_sparse(optax.sgd(0.1), 0.3, every=1, grow=by_gradient, drop_fraction=0.0), 4) == []


def test_without_regrowth_what_was_dropped_stays_inactive_and_a_dense_leaf_drops_nothing():
    tx = dynamic_sparse(optax.sgd(0.0), 0.3, every=1, grow=by_gradient, drop_fraction=0.5, regrow=False)
    before, after = masks(tx, 1)
    params = sparsity.apply_mask(PARAMS, before)
    dropped = jax.tree.map(lambda b, a: b & ~a, before, after)
    for name in PARAMS:
        smallest = np.sort(np.abs(np.asarray(params[name])[before[name]]))
        gone = np.abs(np.asarray(params[name])[dropped[name]])
        assert sorted(gone) == list(smallest[: len(gone)])
        assert len(gone) == np.ceil(0.5 * before[name].sum())
    dense = dynamic_sparse(optax.sgd(0.0), 1.0, every=1, grow=by_gradient, drop_fraction=0.5, regrow=False)
    assert changes(dense, 2) == []


@pytest.mark.slow
def test_a_regrown_weight_starts_at_zero_with_no_momentum_and_a_survivor_keeps_both():
    tx = dynamic_sparse(optax.sgd(0.1, momentum=0.9), 0.3, every=2, grow=by_gradient, drop_fraction=0.5)
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
    tx = dynamic_sparse(optax.sgd(0.1), 0.2, every=1, grow=by_gradient, drop_fraction=0.5)
    seen = masks(tx, 5)
    state, params = tx.init(PARAMS), PARAMS
    for step in range(5):
        updates, state = tx.update(gradients(step), state, params)
        params = optax.apply_updates(params, updates)
    for name in PARAMS:
        union = np.any([mask[name] for mask in seen], axis=0)
        np.testing.assert_array_equal(get_explored(state)[name], union)


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
    ("build", "field"),
    [
        (lambda: rigl(optax.sgd(0.1), 0.0, until=10), r"density: got 0\.0"),
        (lambda: rigl(optax.sgd(0.1), 1.5, until=10), r"density: got 1\.5"),
        (lambda: rigl(optax.sgd(0.1), None, until=10), "density: got None"),
        (lambda: rigl(optax.sgd(0.1), 0.5, until=10, drop_fraction=1.0), r"drop_fraction: got 1\.0"),
        (lambda: rigl(optax.sgd(0.1), 0.5, until=10, drop_fraction=-0.1), r"drop_fraction: got -0\.1"),
        (lambda: rigl(optax.sgd(0.1), 0.5, until=10, every=0), "every: got 0"),
        (lambda: rigl(optax.sgd(0.1), 0.5, until=0), "until: got 0, .*step 100"),
        (lambda: granet(optax.sgd(0.1), 0.1, every=10, end=5), "end: got 5"),
        (lambda: granet(optax.sgd(0.1), 0.1, every=10, end=50, until=20), "until: got 20"),
        (lambda: n_of_m(optax.sgd(0.1), 0.3, end=5), r"density: got 0\.3, .*0\.5"),
        (lambda: dynamic_sparse(optax.sgd(0.1), 0.1, initial_density=0.5), "pruning_schedule: got None"),
        (lambda: dynamic_sparse(optax.sgd(0.1), 0.5, initial_density=0.1), r"initial_density: got 0\.1"),
        (lambda: dynamic_sparse(optax.sgd(0.1), 0.5, initial_density=1.1), r"initial_density: got 1\.1"),
        (lambda: dynamic_sparse(optax.sgd(0.1), 0.5, every=10.5, grow=by_gradient), r"every: got 10\.5"),
        (lambda: dynamic_sparse(optax.sgd(0.1), 0.5, every=10), "grow: got None"),
        (lambda: dynamic_sparse(optax.sgd(0.1), 0.001).init(PARAMS), r"density: got 0\.001 of 100"),
        (lambda: dynamic_sparse(optax.sgd(0.1), 0.5, every=1, grow=by_average), "average_decay: got None"),
        (
            lambda: dynamic_sparse(optax.sgd(0.1), 0.5, every=1, grow=by_gradient, redistribute=by_momentum),
            "average_decay: got None",
        ),
        (lambda: rigl(optax.sgd(0.1), 0.1, until=100, min_kept=20).init(PARAMS), "min_kept: "),
    ],
)
def test_a_number_out_of_range_is_refused_by_its_name(build, field):
    with pytest.raises(ValueError, match=field):
        build()


def test_a_tree_without_kernels_is_refused_at_init_with_its_paths():
    with pytest.raises(ValueError, match=r"prunable: .*head/bias"):
        rigl(optax.sgd(0.1), 0.1, until=100).init({"head": {"bias": jnp.zeros(3)}})


def test_a_state_without_a_mask_is_refused():
    with pytest.raises(ValueError, match=r"^state: "):
        get_mask(optax.adam(0.1).init(PARAMS))
    with pytest.raises(ValueError, match=r"^state: "):
        get_explored(optax.adam(0.1).init(PARAMS))


def test_parameters_in_the_state_can_be_mapped_over():
    tx = optax.chain(optax.clip(1.0), rigl(optax.adam(0.1), 0.3, until=100))
    state = tx.init(PARAMS)
    shapes = optax.tree.map_params(tx, lambda leaf, param: jnp.array(leaf.shape == param.shape), state, PARAMS)
    assert jax.tree.map(bool, get_mask(shapes)) == {"a": True, "c": True}


STACK = {"stack": jnp.linspace(-1.0, 1.0, 96).reshape(3, 4, 8), "head": jnp.linspace(0.1, 2.0, 32).reshape(8, 4)}


@pytest.mark.slow
@pytest.mark.parametrize("allocate", [sparsity.erk, sparsity.uniform])
def test_every_layer_of_a_stack_keeps_its_own_budget(allocate):
    axes = {"stack": 1, "head": 0}
    tx = rigl(optax.sgd(0.1), 0.25, every=1, until=9, drop_fraction=0.5, stacked=axes, allocate=allocate)
    state = tx.init(STACK)
    budgets = jax.tree.map(jnp.array, sparsity.kept_per_leaf(get_mask(state), stacked=axes))
    assert len(set(budgets["stack"].tolist())) == 1
    params = STACK
    update = jax.jit(tx.update)
    for step in range(3):
        before = get_mask(state)
        grads = jax.tree.map(lambda p, step=step: jax.random.normal(jax.random.key(step), p.shape), STACK)
        updates, state = update(grads, state, params)
        params = optax.apply_updates(params, updates)
        assert (before["stack"] != get_mask(state)["stack"]).any()
        jax.tree.map(np.testing.assert_array_equal, sparsity.kept_per_leaf(get_mask(state), stacked=axes), budgets)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gmp", "granet", "snip", "dsr"])
def test_min_kept_saves_a_layer_whose_weights_or_gradients_are_small(name):
    small = {**STACK, "stack": STACK["stack"].at[1].multiply(0.01)}
    periodic = {"gmp": {"every": 1, "end": 1}, "granet": {"every": 1, "end": 1}, "dsr": {"every": 1}}.get(name, {})

    def per_layer(min_kept):
        tx = METHODS[name].build(optax.sgd(0.0), 0.1, min_kept=min_kept, stacked={"stack": 1, "head": 0}, **periodic)
        _, state = tx.update(small, tx.init(small), small)
        assert int(sparsity.kept(state.mask)) == round(0.1 * 128)
        return sparsity.kept_per_leaf(state.mask, stacked={"stack": 1, "head": 0})["stack"]

    assert per_layer(2).min() >= 2


@pytest.mark.slow
def test_a_layer_left_without_weights_is_warned_of_by_name_when_its_mask_is_read():
    small = {"large": {"kernel": jnp.ones((4, 8))}, "small": {"kernel": jnp.full((4, 4), 0.01)}}
    tx = snip(optax.sgd(0.1), 0.25)
    _, state = tx.update(small, tx.init(small), small)
    with pytest.warns(UserWarning, match="small/kernel"):
        get_mask(state)
    with pytest.warns(UserWarning, match="small/kernel"):
        rigl(optax.sgd(0.1), 0.02, until=100, allocate=sparsity.uniform).init(small)


@pytest.mark.slow
def test_two_of_four_are_kept_along_the_inputs_of_every_layer_of_a_stack():
    stack = {"value": {"kernel": jnp.linspace(-1.0, 1.0, 96).reshape(4, 8, 3)}}
    tx = n_of_m(optax.sgd(0.0), end=1, stacked=lambda path, leaf: 1)
    _, state = tx.update(stack, tx.init(stack), stack)
    assert (np.asarray(get_mask(state)["value"]["kernel"]).reshape(4, 2, 4, 3).sum(2) == 2).all()


@pytest.mark.slow
def test_leaves_that_cannot_be_grouped_are_warned_of_by_name_and_stay_dense():
    params = {"stem": {"kernel": jnp.ones((3, 3, 3, 2))}, "head": {"kernel": jnp.ones((8, 2))}}
    tx = n_of_m(optax.sgd(0.0), end=1)
    with pytest.warns(UserWarning, match="stem/kernel"):
        state = tx.init(params)
    _, state = tx.update(params, state, params)
    assert sparsity.density_per_leaf(get_mask(state)) == {"head/kernel": 0.5, "stem/kernel": 1.0}
