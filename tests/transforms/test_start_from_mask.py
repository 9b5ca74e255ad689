"""A ticket handed on to sparse training loses nothing; masks are read wherever the state has been."""

import warnings

import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import traverse_util

from lpjax.sparsity import apply_mask, assert_on_mask, density, full_mask, kept, magnitude, select, total
from lpjax.transforms import (
    METHODS,
    dynamic_sparse,
    fixed_mask,
    get_explored,
    get_mask,
    gmp,
    granet,
    rigl,
    snip,
    static_sparse,
)

rng = np.random.default_rng(0)
PARAMS = {
    "conv": {"kernel": jnp.asarray(rng.normal(size=(3, 3, 4, 8)), jnp.float32)},
    "dense": {"kernel": jnp.asarray(rng.normal(size=(8, 14)), jnp.float32), "bias": jnp.ones(14)},
}
TOTAL = 400
TENTH = select(magnitude(PARAMS), full_mask(PARAMS), TOTAL // 10)
TRAINED = apply_mask(PARAMS, TENTH)
CHOICES = {"every": 2, "until": 6, "end": 6, "drop_fraction": 0.3}
PRUNING = ("granet", "gmp", "2:4")
STARTING = [name for name in METHODS if name != "snip"]  # whose first gradient chooses the mask


def method(name, density, inner=None, **more):
    choices = {choice: CHOICES[choice] for choice in METHODS[name].choices if choice in CHOICES}
    return METHODS[name].build(optax.sgd(0.1) if inner is None else inner, density, **choices, **more)


def gradients(step):
    draw = np.random.default_rng(step)
    return jax.tree.map(lambda p: jnp.asarray(draw.normal(size=p.shape), p.dtype), PARAMS)


def trained(tx, steps, params=TRAINED, state=None, start=0):
    state = tx.init(params) if state is None else state
    update = jax.jit(tx.update)
    for step in range(start, start + steps):
        updates, state = update(gradients(step), state, params)
        params = optax.apply_updates(params, updates)
    return params, state


def assert_equal(tree, other):
    jax.tree.map(np.testing.assert_array_equal, tree, other)


def test_the_mask_under_test_has_a_tenth_of_the_weights():
    assert (total(TENTH), int(kept(TENTH)), density(TENTH)) == (400, 40, 0.1)


@pytest.mark.parametrize("name", STARTING)
def test_a_ticket_handed_on_keeps_every_trained_weight_at_the_first_step(name):
    tx = method(name, 0.5 if name == "2:4" else 0.1, inner=optax.sgd(0.0), mask=TENTH)
    params, state = trained(tx, 1)
    assert_equal(get_mask(state), TENTH)
    assert_equal(params, TRAINED)
    assert_equal(get_explored(state), TENTH)


def test_without_the_mask_most_trained_weights_are_lost():
    params, _ = trained(method("rigl", 0.1, inner=optax.sgd(0.0)), 1)
    assert int(jnp.sum((params["conv"]["kernel"] != 0) & TENTH["conv"]["kernel"])) < 20


@pytest.mark.parametrize("name", [name for name in STARTING if name not in PRUNING])
def test_without_a_density_the_masks_own_stays(name):
    tx = method(name, None, mask=TENTH)
    params, state = trained(tx, 5)
    assert int(kept(get_mask(state))) == 40
    assert_on_mask(params, get_mask(state))
    changes = name not in ("uniform", "erk")
    assert bool((get_mask(state)["conv"]["kernel"] != TENTH["conv"]["kernel"]).any()) == changes


@pytest.mark.parametrize("name", ["granet", "gmp"])
def test_pruning_starts_from_the_masks_density_and_only_goes_down(name):
    tx = method(name, 0.05, mask=TENTH)
    params = TRAINED
    state = tx.init(TRAINED)
    counts = [int(kept(get_mask(state)))]
    for step in range(8):
        params, state = trained(tx, 1, params, state, step)
        counts.append(int(kept(get_mask(state))))
    assert counts[0] == counts[1] == 40
    assert counts == sorted(counts, reverse=True)
    assert counts[6:] == [20, 20, 20]


@pytest.mark.parametrize("name", ["granet", "gmp"])
def test_a_mask_sparser_than_the_final_density_is_not_pruned(name):
    _, state = trained(method(name, 0.3, mask=TENTH), 7)
    assert int(kept(get_mask(state))) == 40


def test_two_of_four_starts_inside_the_mask():
    _, state = trained(method("2:4", None, mask=TENTH), 7)
    mask = get_mask(state)
    assert not (mask["conv"]["kernel"] & ~TENTH["conv"]["kernel"]).any()
    assert mask["dense"]["kernel"].reshape(2, 4, 14).sum(1).max() <= 2


@pytest.mark.parametrize("name", [name for name in STARTING if name not in PRUNING])
@pytest.mark.parametrize("wrong", [0.05, 0.2, 1.0])
def test_a_density_that_is_not_the_masks_is_refused(name, wrong):
    with pytest.raises(ValueError, match=rf"^density: got {wrong}, .*0\.1"):
        method(name, wrong, mask=TENTH).init(TRAINED)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"kernel": jnp.ones((1, 14), bool)}, ValueError),
        ({"kernel": jnp.ones((8, 14))}, TypeError),
        ({"kernel": None}, ValueError),
    ],
)
def test_a_mask_that_does_not_fit_is_refused_by_the_leafs_name(changed, error):
    mask = {**TENTH, "dense": {**TENTH["dense"], **changed}}
    with pytest.raises(error, match=r"mask: .*dense/kernel"):
        rigl(optax.sgd(0.1), None, until=100, mask=mask).init(TRAINED)


@pytest.mark.parametrize("name", [name for name in PRUNING if name != "2:4"])
def test_where_pruning_goes_on_a_final_density_must_be_said(name):
    with pytest.raises(ValueError, match=r"^density: got None"):
        method(name, None, mask=TENTH)


def test_scalars_may_stand_for_leaves_that_are_never_pruned_as_in_tickets_on_disk():
    stored = {**TENTH, "dense": {**TENTH["dense"], "bias": np.True_}}
    state = rigl(optax.sgd(0.1), 0.1, until=100, mask=stored).init(TRAINED)
    assert_equal(get_mask(state), TENTH)


@pytest.mark.slow
@pytest.mark.parametrize("jitted", [False, True])
def test_a_mask_handed_in_is_copied_so_that_donating_the_state_leaves_it_alone(jitted):
    mask = jax.tree.map(jnp.copy, TENTH)
    tx = rigl(optax.sgd(0.1), None, every=1, until=10, mask=mask)
    params = jax.tree.map(jnp.copy, TRAINED)
    state = (jax.jit(tx.init) if jitted else tx.init)(params)
    step = jax.jit(lambda grads, state, params: tx.update(grads, state, params), donate_argnums=(1,))
    for number in range(2):
        given = state
        _, state = step(gradients(number), given, params)
        assert given.mask["conv"]["kernel"].is_deleted()
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves((mask, params)))


@pytest.mark.slow
def test_granet_as_it_is_by_default_keeps_its_mask_after_the_end():
    tx = granet(optax.sgd(0.1), 0.1, every=2, end=6)
    params, state = trained(tx, 6, PARAMS)
    settled = get_mask(state)
    assert int(kept(settled)) == 40
    for start in (6, 8, 10):
        params, state = trained(tx, 2, params, state, start)
        assert_equal(get_mask(state), settled)
    assert (params["dense"]["kernel"] != 0)[settled["dense"]["kernel"]].all()  # what grew last has learned something


def test_granet_regrows_beyond_the_end_if_asked():
    tx = granet(optax.sgd(0.1), 0.1, every=2, end=6, until=8)
    params, state = trained(tx, 6, PARAMS)
    before = get_mask(state)
    _, state = trained(tx, 2, params, state, 6)
    assert (get_mask(state)["conv"]["kernel"] != before["conv"]["kernel"]).any()
    assert int(kept(get_mask(state))) == 40


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda number: static_sparse(optax.sgd(0.1), number), "density"),
        (lambda number: rigl(optax.sgd(0.1), number, until=100), "density"),
        (lambda number: granet(optax.sgd(0.1), 0.1, end=2000, initial_density=number), "initial_density"),
        (lambda number: granet(optax.sgd(0.1), number, end=2000), "density"),
        (lambda number: gmp(optax.sgd(0.1), number, end=2000), "density"),
        (lambda number: snip(optax.sgd(0.1), number), "density"),
        (lambda number: dynamic_sparse(optax.sgd(0.1), number), "density"),
    ],
)
def test_numbers_that_are_traced_are_refused_by_name(build, field):
    def traced(number):
        return build(number).init(PARAMS)

    for number in (jnp.float32(0.5), "0.5"):
        with pytest.raises(TypeError, match=f"^{field}: "):
            traced(number)
    with pytest.raises(TypeError, match=f"^{field}: "):
        jax.jit(traced)(0.5)


def test_injecting_the_density_is_refused_and_injecting_the_inner_optimizers_choices_works():
    rules = ("drop", "allocate", "prunable")  # optax takes functions for schedules otherwise
    injected = optax.inject_hyperparams(static_sparse, static_args=rules)
    with pytest.raises(TypeError, match=r"^density: .*inject_hyperparams"):
        injected(inner=optax.sgd(0.1), density=0.5).init(PARAMS)
    tx = rigl(optax.inject_hyperparams(optax.sgd)(learning_rate=0.1), 0.1, until=100)
    params, state = trained(tx, 2)
    assert int(kept(get_mask(state))) == 40
    assert_on_mask(params, get_mask(state))


def wrapped(name):
    return {
        "alone": method("rigl", 0.1, optax.sgd(0.1, momentum=0.9)),
        "averaging": method("snfs", 0.1),
        "fixed": fixed_mask(optax.sgd(0.1, momentum=0.9), TENTH),
        "chain": optax.chain(optax.clip(1.0), method("rigl", 0.1)),
        "accumulating": optax.MultiSteps(method("rigl", 0.1), 2).gradient_transformation(),
    }[name]


WRAPPED = ("alone", "averaging", "fixed", "chain", "accumulating")


@pytest.mark.slow
@pytest.mark.parametrize("name", WRAPPED)
def test_a_state_goes_to_bytes_and_back_and_training_goes_on_bit_for_bit(name):
    tx = wrapped(name)
    with jax.numpy_dtype_promotion("standard"):
        params, state = trained(tx, 3)
        restored = flax.serialization.from_bytes(tx.init(TRAINED), flax.serialization.to_bytes(state))
        assert jax.tree.structure(restored) == jax.tree.structure(state)
        assert_equal(get_mask(restored), get_mask(state))
        assert_equal(trained(tx, 3, params, restored, 3), trained(tx, 3, params, state, 3))


@pytest.mark.slow
@pytest.mark.parametrize("name", WRAPPED)
def test_the_mask_of_a_state_restored_as_plain_dicts_is_found(name):
    tx = wrapped(name)
    with jax.numpy_dtype_promotion("standard"):
        _, state = trained(tx, 3)
    plain = flax.serialization.msgpack_restore(flax.serialization.to_bytes(state))
    assert isinstance(plain, dict)
    assert_equal(get_mask(plain), get_mask(state))
    assert_equal(get_mask(plain, PARAMS), get_mask(state, PARAMS))


def test_what_a_state_restored_as_plain_dicts_has_explored_is_found():
    _, state = trained(method("rigl", 0.1), 3)
    plain = flax.serialization.to_state_dict(state)
    assert_equal(get_explored(plain), get_explored(state))


def labels(params):
    flat = traverse_util.flatten_dict(params)
    return traverse_util.unflatten_dict({path: path[0] for path in flat})


@pytest.mark.slow
def test_the_mask_of_the_whole_network_is_read_from_groups_and_what_none_covers_is_full():
    groups = {"conv": method("rigl", 0.25), "dense": method("gmp", 0.1)}
    tx = optax.partition(groups, labels)
    _, state = trained(tx, 7, PARAMS)
    mask = get_mask(state, PARAMS)
    assert jax.tree.map(jnp.shape, mask) == jax.tree.map(jnp.shape, PARAMS)
    assert int(mask["conv"]["kernel"].sum()) == 72
    assert int(mask["dense"]["kernel"].sum()) == 11
    assert density(mask) == pytest.approx(83 / 400)
    frozen = optax.partition({"conv": method("rigl", 0.25), "dense": optax.set_to_zero()}, labels)
    state = frozen.init(PARAMS)
    assert get_mask(state)["dense"]["kernel"].shape == ()
    mask = get_mask(state, PARAMS)
    assert mask["dense"]["kernel"].all()
    assert mask["dense"]["kernel"].shape == (8, 14)
    apply_mask(PARAMS, get_mask(state))  # scalars serve as well
    fixed_mask(optax.sgd(0.1), get_mask(state)).init(PARAMS)


def test_a_mask_that_was_read_outlives_the_state():
    state = rigl(optax.sgd(0.1), 0.1, until=100).init(PARAMS)
    mask = get_mask(state)
    jax.tree.map(lambda leaf: leaf.delete(), state)
    assert int(kept(mask)) == 40


def test_reading_a_mask_whose_leaves_all_keep_weights_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        state = rigl(optax.sgd(0.1), 0.1, until=100).init(PARAMS)
        get_mask(state, PARAMS)
