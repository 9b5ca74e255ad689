"""A fixed mask: parameters and moments are zero outside it after every step, whatever the optimizer."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lpjax.sparsity import apply_mask
from lpjax.transforms import FixedMaskState, fixed_mask

SHAPE = (3, 5)
OPTIMIZERS = {
    "sgd": lambda: optax.sgd(0.1),
    "momentum with coupled decay": lambda: optax.chain(optax.add_decayed_weights(0.1), optax.sgd(0.1, momentum=0.9)),
    "nesterov": lambda: optax.sgd(optax.cosine_decay_schedule(0.1, 10), momentum=0.9, nesterov=True),
    "adamw": lambda: optax.adamw(0.1, weight_decay=0.1),
    "clipped": lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.1)),
    "multisteps": lambda: optax.MultiSteps(optax.sgd(0.1, momentum=0.9), 2).gradient_transformation(),
}


@pytest.fixture
def promotion():
    """Optax's own schedules and moments promote dtypes."""
    with jax.numpy_dtype_promotion("standard"):
        yield


def network(dtype=jnp.float32, seed=0):
    rng = np.random.default_rng(seed)
    params = {"w": jnp.asarray(rng.normal(size=SHAPE), dtype), "bias": jnp.asarray(rng.normal(size=5), dtype)}
    mask = {"w": jnp.asarray(rng.random(SHAPE) < 0.5), "bias": jnp.array(True)}
    return params, mask


def dense_grads(step, dtype=jnp.float32):
    rng = np.random.default_rng(100 + step)
    return {"w": jnp.asarray(rng.normal(size=SHAPE), dtype), "bias": jnp.asarray(rng.normal(size=5), dtype)}


def assert_zero_outside(mask, params, inner):
    """Checks the parameters and every array of the optimizer's state that has their shape."""
    moments = [leaf for leaf in jax.tree.leaves(inner) if jnp.shape(leaf) == SHAPE]
    for leaf in [params["w"], *moments]:
        np.testing.assert_array_equal(np.asarray(leaf, np.float32)[~np.asarray(mask["w"])], 0)


@pytest.mark.usefixtures("promotion")
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_parameters_and_moments_are_zero_outside_the_mask_after_every_step(name, dtype):
    params, mask = network(dtype)
    tx = fixed_mask(OPTIMIZERS[name](), mask)
    params = apply_mask(params, mask)
    state = tx.init(params)
    update = jax.jit(tx.update)
    for step in range(4):
        updates, state = update(dense_grads(step, dtype), state, params)
        assert updates["w"].dtype == dtype
        params = optax.apply_updates(params, updates)
        assert_zero_outside(mask, params, state.inner)
    assert np.asarray(params["w"] != 0)[np.asarray(mask["w"])].all()


@pytest.mark.usefixtures("promotion")
@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "multisteps"])
def test_one_step_lands_on_the_mask_even_from_dense_parameters(name):
    params, mask = network()
    tx = fixed_mask(OPTIMIZERS[name](), mask)
    updates, state = tx.update(dense_grads(0), tx.init(params), params)
    assert_zero_outside(mask, optax.apply_updates(params, updates), state.inner)


@pytest.mark.usefixtures("promotion")
@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "clipped"])
def test_inside_the_mask_the_wrapped_optimizer_sees_no_difference(name):
    params, mask = network()
    masked, plain = fixed_mask(OPTIMIZERS[name](), mask), OPTIMIZERS[name]()
    masked_params = plain_params = params
    masked_state, plain_state = masked.init(params), plain.init(params)
    for step in range(3):
        updates, masked_state = masked.update(dense_grads(step), masked_state, masked_params)
        masked_params = optax.apply_updates(masked_params, updates)
        updates, plain_state = plain.update(dense_grads(step), plain_state, plain_params)
        plain_params = optax.apply_updates(plain_params, updates)
    expected = apply_mask(plain_params, mask)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), masked_params, expected)


@pytest.mark.usefixtures("promotion")
def test_it_may_itself_be_wrapped_in_multisteps():
    params, mask = network()
    params = apply_mask(params, mask)
    tx = optax.MultiSteps(fixed_mask(optax.sgd(0.1, momentum=0.9), mask), 2)
    state = tx.init(params)
    start = params
    for step in range(4):
        updates, state = tx.update(dense_grads(step), state, params)
        params = optax.apply_updates(params, updates)
        assert_zero_outside(mask, params, state.inner_opt_state.inner)
    assert (params["w"] != start["w"])[mask["w"]].all()


def test_masked_sgd_gives_the_numbers_of_torch():
    params, mask = {"w": jnp.array([1.0, -2.0, 0.5])}, {"w": jnp.array([True, False, True])}
    tx = fixed_mask(optax.chain(optax.add_decayed_weights(1e-4), optax.sgd(0.1, momentum=0.9)), mask)
    params = apply_mask(params, mask)
    state = tx.init(params)
    loss = jax.value_and_grad(lambda p: 0.5 * jnp.sum((2 * p["w"]) ** 2))
    losses, weights = [], []
    for _ in range(3):
        value, grads = loss(params)
        updates, state = tx.update(grads, state, params)
        params = optax.apply_updates(params, updates)
        losses.append(value)
        weights.append(params["w"])
    np.testing.assert_allclose(losses, [2.5, 0.89996988, 1.105e-9], rtol=5e-3)
    expected = [[0.59998995, 0, 0.29999498], [-0.00002103, 0, -0.00001051], [-0.54002249, 0, -0.27001125]]
    np.testing.assert_allclose(weights, expected, atol=3e-8)


@pytest.mark.usefixtures("promotion")
def test_one_compiled_step_serves_every_mask():
    traces = []
    params, _ = network()
    optimizer = optax.adam(0.1)
    any_mask = jax.tree.map(lambda p: jnp.ones(p.shape if p.ndim == 2 else (), bool), params)
    tx = fixed_mask(optimizer, any_mask)

    @jax.jit
    def step(state, params, grads):
        traces.append(state)
        updates, state = tx.update(grads, state, params)
        return state, optax.apply_updates(params, updates)

    for seed in range(3):
        _, mask = network(seed=seed)
        state, landed = step(fixed_mask(optimizer, mask).init(params), params, dense_grads(0))
        assert_zero_outside(mask, landed, state.inner)
    assert len(traces) == 1


def test_the_mask_rides_in_the_state_unchanged():
    params, mask = network()
    tx = fixed_mask(optax.sgd(0.1), mask)
    _, state = tx.update(dense_grads(0), tx.init(params), params)
    assert isinstance(state, FixedMaskState)
    jax.tree.map(np.testing.assert_array_equal, state.mask, {**mask, "bias": np.ones(5, bool)})


def test_the_mask_handed_in_is_copied_so_that_donating_the_state_leaves_it_alone():
    params, _ = network()
    mask = jax.tree.map(lambda p: jnp.ones(p.shape, bool), params)
    state = fixed_mask(optax.sgd(0.1), mask).init(params)
    jax.tree.map(lambda leaf: leaf.delete(), state.mask)
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves((mask, params)))


def test_extra_arguments_reach_the_wrapped_optimizer():
    def update(updates, state, params=None, *, scale):
        return jax.tree.map(lambda u: scale * u, updates), state

    params, mask = network()
    inner = optax.GradientTransformationExtraArgs(lambda _: optax.EmptyState(), update)
    tx = fixed_mask(inner, mask)
    updates, _ = tx.update(dense_grads(0), tx.init(params), params, scale=-0.5)
    np.testing.assert_allclose(updates["bias"], -0.5 * dense_grads(0)["bias"])
    plain = fixed_mask(optax.sgd(0.1), mask)  # an optimizer that takes none does not mind
    plain.update(dense_grads(0), plain.init(params), params, scale=1.0)


@pytest.mark.usefixtures("promotion")
def test_gradients_that_are_not_finite_outside_the_mask_do_no_harm():
    params, mask = network()
    params = apply_mask(params, mask)
    grads = dense_grads(0)
    grads["w"] = jnp.where(mask["w"], grads["w"], jnp.nan)
    tx = fixed_mask(optax.adamw(0.1), mask)
    updates, state = tx.update(grads, tx.init(params), params)
    landed = optax.apply_updates(params, updates)
    assert jnp.isfinite(landed["w"]).all()
    assert_zero_outside(mask, landed, state.inner)


def test_without_parameters_it_says_what_is_missing():
    params, mask = network()
    tx = fixed_mask(optax.sgd(0.1), mask)
    with pytest.raises(ValueError, match=r"^params: got None"):
        tx.update(dense_grads(0), tx.init(params))


@pytest.mark.parametrize("wrong", [None, jnp.ones((1, 5)), jnp.ones((5, 3))])
def test_gradients_that_do_not_fit_are_refused_by_the_leafs_name(wrong):
    params, mask = network()
    tx = fixed_mask(optax.sgd(0.1), mask)
    with pytest.raises(ValueError, match=r"grads: .*'w'"):
        tx.update({**dense_grads(0), "w": wrong}, tx.init(params), params)


def test_a_parameter_that_is_no_array_is_refused_by_its_name():
    params, mask = network()
    with pytest.raises(TypeError, match=r"params: .*'temperature'"):
        fixed_mask(optax.sgd(0.1), {**mask, "temperature": np.True_}).init({**params, "temperature": 1.0})


@pytest.mark.parametrize(
    ("mask", "error", "field"),
    [
        ({"v": jnp.ones(2, bool)}, ValueError, "mask: .*'w'"),
        ({"w": jnp.ones(3, bool)}, ValueError, "mask: .*'w'"),
        ({"w": jnp.ones(2, bool), "v": jnp.ones(2, bool)}, ValueError, "mask: .*'v'"),
        ({"w": jnp.ones(2)}, TypeError, "mask: .*'w'"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused_at_init(mask, error, field):
    with pytest.raises(error, match=field):
        fixed_mask(optax.sgd(0.1), mask).init({"w": jnp.zeros(2)})


@pytest.mark.parametrize("name", ["sm3", "lbfgs"])
def test_an_optimizer_whose_moments_cannot_be_told_apart_is_refused_at_init(name):
    params, mask = network()
    with pytest.raises(TypeError, match=r"^inner: "):
        fixed_mask(getattr(optax, name)(0.1), mask).init(params)


@given(
    hnp.arrays(np.float32, SHAPE, elements=st.floats(-1e4, 1e4, width=32)),
    hnp.arrays(np.float32, SHAPE, elements=st.floats(-1e4, 1e4, width=32)),
    hnp.arrays(bool, SHAPE),
)
@settings(deadline=None, max_examples=25)
def test_any_parameters_land_on_any_mask(weights, grads, mask):
    params, masks = {"w": weights}, {"w": mask}
    tx = fixed_mask(optax.sgd(0.1, momentum=0.9), masks)
    updates, state = tx.update({"w": grads}, tx.init(params), params)
    assert_zero_outside(masks, optax.apply_updates(params, updates), state.inner)
