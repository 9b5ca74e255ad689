"""Numbers worked out by hand, from the papers and from what their code gets wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lpjax import sparsity
from lpjax.transforms import by_gradient, dynamic_sparse, get_mask, gmp, granet, rigl, snip


def one_change(tx, weights, mask, grads):
    """Changes a given mask once; weights do not move. Trees of one leaf `[1, n]`, given and returned as vectors."""
    params = {"w": jnp.asarray([weights], jnp.float32)}
    state = tx.init(params)._replace(mask={"w": jnp.asarray([mask], bool)})
    updates, state = jax.jit(tx.update)({"w": jnp.asarray([grads], jnp.float32)}, state, params)
    return np.asarray(get_mask(state)["w"][0]).astype(int), optax.apply_updates(params, updates)["w"][0], state


def changing(drop_fraction, inner=None, **more):
    inner = optax.sgd(0.0) if inner is None else inner
    return dynamic_sparse(inner, 0.5, every=1, grow=by_gradient, drop_fraction=drop_fraction, **more)


OPTIMIZED = {"xla_backend_optimization_level": 2}
"""For the few programs that run for longer than they compile."""


def kept_after_every_step(tx, shape, steps, compiler_options=None):
    params = {"w": jax.random.normal(jax.random.key(0), shape)}
    state, update, counts = tx.init(params), jax.jit(tx.update, compiler_options=compiler_options), []
    for _ in range(steps):
        counts.append(int(sparsity.kept(get_mask(state))))
        updates, state = update(params, state, params)
        params = optax.apply_updates(params, updates)
    return [*counts, int(sparsity.kept(get_mask(state)))]


def test_rigls_cosine():
    schedule = optax.cosine_decay_schedule(0.3, 24000)
    values = [float(schedule(float(step))) for step in (0, 6000, 12000, 18000, 24000)]
    np.testing.assert_allclose(values, [0.3, 0.256066, 0.15, 0.043934, 0], atol=5e-7)


def test_the_cosine_of_torch_with_its_floor():
    schedule = optax.cosine_decay_schedule(0.5, 1000, 0.005 / 0.5)
    values = [float(schedule(1000 * share)) for share in (0, 0.25, 0.5, 0.75, 0.9, 0.92, 1)]
    np.testing.assert_allclose(values, [0.5, 0.427509, 0.2525, 0.077491, 0.017114, 0.012776, 0.005], atol=5e-7)


@pytest.mark.slow
def test_rigl_drops_as_many_as_its_cosine_says():
    tx = dynamic_sparse(
        optax.sgd(0.0),
        0.25,
        every=6,
        until=24,
        drop_fraction=optax.cosine_decay_schedule(0.3, 24),
        grow=by_gradient,
        regrow=False,
    )
    params = {"w": jax.random.normal(jax.random.key(1), (20, 20))}
    state, update, dropped = tx.init(params), jax.jit(tx.update), []
    for step in range(24):
        before = get_mask(state)["w"]
        _, state = update({"w": jax.random.normal(jax.random.key(step), (20, 20))}, state, params)
        if (step + 1) % 6 == 0:
            dropped.append(int(jnp.sum(before & ~get_mask(state)["w"])))
    assert dropped == [26, 15, 5, 0]  # of 100, at fractions .256066, .15, .043934, 0, rounded up


@pytest.mark.slow
def test_granet_over_four_changes_reaches_its_last_density():
    tx = granet(optax.sgd(0.0), 0.05, initial_density=0.5, every=1, end=4)
    counts = np.array(kept_after_every_step(tx, (100, 1000), 5))
    np.testing.assert_allclose(1 - counts / 1e5, [0.5, 0.760156, 0.89375, 0.942969, 0.95, 0.95], atol=1e-5)
    assert counts[-1] == 5000


@pytest.mark.slow
def test_granets_schedule_of_cifar():
    tx = granet(optax.sgd(0.0), 0.05, initial_density=0.5, every=1, end=43)
    counts = np.array(kept_after_every_step(tx, (500, 2000), 43, OPTIMIZED))
    expected = {0: 0.5, 1: 0.530671, 5: 0.639431, 10: 0.746601, 20: 0.881136, 30: 0.937565, 42: 0.949994, 43: 0.95}
    for change, density in expected.items():
        assert 1 - counts[change] / 1e6 == pytest.approx(density, abs=1.01e-6)


def test_the_schedule_of_gradual_magnitude_pruning():
    counts = kept_after_every_step(gmp(optax.sgd(0.0), 0.1, every=1, end=10), (100, 100), 10)
    assert [10_000 - kept for kept in counts] == [0, 2439, 4392, 5913, 7056, 7875, 8424, 8757, 8928, 8991, 9000]


WEIGHTS = [0.9, -0.1, 0.5, 0, 0, 0, -0.3, 0.05]
MASK = [1, 1, 1, 0, 0, 0, 1, 1]
GRADS = [0.1, 0.7, 0, -0.9, 0.2, 0.6, 0.05, 0.3]


def test_a_step_of_rigl():
    tx = rigl(optax.sgd(0.0), 0.5, every=1, until=10, drop_fraction=0.4)
    mask, weights, _ = one_change(tx, WEIGHTS, MASK, GRADS)
    assert mask.tolist() == [1, 1, 1, 1, 0, 0, 1, 0]
    np.testing.assert_array_equal(weights, np.float32([0.9, -0.1, 0.5, 0, 0, 0, -0.3, 0]))


def test_a_step_of_rigl_that_may_not_regrow_what_it_drops():
    tx = changing(0.4, until=10, regrow=False)
    mask, weights, _ = one_change(tx, WEIGHTS, MASK, GRADS)
    assert mask.tolist() == [1, 0, 1, 1, 0, 1, 1, 0]
    np.testing.assert_array_equal(weights, np.float32([0.9, 0, 0.5, 0, 0, 0, -0.3, 0]))


@pytest.mark.parametrize(("fraction", "dropped"), [(0.4, 2), (0.5, 3), (0.2, 1), (0.6, 3)])
def test_the_count_to_drop_is_rounded_up_but_for_the_dust_of_floats(fraction, dropped):
    mask, _, _ = one_change(changing(fraction, regrow=False), WEIGHTS, MASK, GRADS)
    assert sum(before and not after for before, after in zip(MASK, mask, strict=True)) == dropped
    assert mask.sum() == 5


@pytest.mark.slow
@pytest.mark.parametrize(("fraction", "kept", "dropped"), [(0.07, 100, 7), (0.55, 100, 55), (0.3, 10, 3), (0.1, 30, 3)])
def test_fractions_that_floats_overshoot_drop_whole_numbers(fraction, kept, dropped):
    weights = np.linspace(1, 2, 200)
    before = np.arange(200) < kept
    mask, _, _ = one_change(changing(fraction, regrow=False), weights, before, np.ones(200))
    assert (before & ~mask.astype(bool)).sum() == dropped


@pytest.mark.slow
def test_snip_keeps_what_the_loss_would_miss_most():
    weights, grads = {"w": jnp.array([[0.5, -1, 2, 0.1]])}, {"w": jnp.array([[1, -0.2, 0.05, 4]])}
    scores = sparsity.saliency(weights, grads)["w"][0]
    np.testing.assert_allclose(scores / scores.sum(), [0.416667, 0.166667, 0.083333, 0.333333], atol=5e-7)
    tx = snip(optax.sgd(0.1), 0.5)
    updates, state = tx.update(grads, tx.init(weights), weights)
    assert get_mask(state)["w"][0].tolist() == [True, False, False, True]
    np.testing.assert_array_equal(optax.apply_updates(weights, updates)["w"][0], np.float32([0.5, 0, 0, 0.1]))


def test_a_dense_layer_comes_through_a_change_as_it_was():
    weights = np.arange(1, 9, dtype=np.float32) / 10
    tx = changing(0.5, optax.sgd(0.0, momentum=0.9))
    mask, landed, state = one_change(tx, weights, [1] * 8, np.ones(8))
    assert mask.all()
    np.testing.assert_array_equal(landed, weights)
    np.testing.assert_array_equal(optax.tree.get(state, "trace")["w"][0], np.ones(8))


@pytest.mark.slow
def test_of_ties_only_as_many_drop_as_should():
    mask, _, _ = one_change(changing(0.5, regrow=False), [0.5, 0.5, 0.5, 0.5, 0, 0], [1, 1, 1, 1, 0, 0], np.ones(6))
    assert mask.tolist() == [0, 0, 1, 1, 1, 1]


def test_kept_weights_that_are_exactly_zero_do_not_all_drop():
    mask, _, _ = one_change(changing(0.25, regrow=False), [0.9, 0.5, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0], np.ones(6))
    assert mask.tolist() == [1, 1, 0, 1, 0, 1]


@pytest.mark.slow
def test_where_gradients_are_zero_inactive_weights_grow_all_the_same():
    def two(update, freed, room):
        return jax.tree.map(lambda n: n + 2, freed)

    tx = changing(0.0, redistribute=two)
    mask, _, _ = one_change(tx, [1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [5, 4, 0, 0, 3])
    assert mask.tolist() == [1, 1, 0, 1, 1]


@pytest.mark.slow
def test_growth_needs_gradients_of_the_weights_and_not_of_their_product_with_the_mask():
    inputs, weights, mask = jnp.array([1.0, 2.0]), jnp.array([1.0, 0.0]), jnp.array([1.0, 0.0])
    dense = jax.grad(lambda w: (inputs @ w) ** 2)(weights)
    masked = jax.grad(lambda w: (inputs @ (w * mask)) ** 2)(weights)
    assert (dense.tolist(), masked.tolist()) == ([2, 4], [2, 0])
    tx = rigl(optax.sgd(0.0), 0.5, every=1, until=10, drop_fraction=0.5)
    assert one_change(tx, weights, mask, dense)[0].tolist() == [0, 1]
    assert one_change(tx, weights, mask, masked)[0].tolist() == [1, 0]


@pytest.mark.slow
def test_no_weight_is_lost_where_float32_cannot_count():
    params = {"w": jax.random.normal(jax.random.key(0), (5120, 5121))}
    tx = rigl(optax.sgd(0.0), 0.1, every=1, until=10)
    state, update = jax.jit(tx.init, compiler_options=OPTIMIZED)(params), jax.jit(tx.update, compiler_options=OPTIMIZED)
    for _ in range(2):
        assert int(sparsity.kept(get_mask(state))) == round(0.1 * 5120 * 5121)
        _, state = update(params, state, params)
    assert int(sparsity.kept(get_mask(state))) == round(0.1 * 5120 * 5121)
