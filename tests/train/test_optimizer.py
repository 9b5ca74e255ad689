"""SGD and its learning rates give the numbers of the papers' code."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lpjax.train import SCHEDULES, learning_rate, sgd


def test_sgd_couples_weight_decay_with_momentum_as_torch_does():
    tx = sgd(optax.constant_schedule(0.1), momentum=0.9, weight_decay=5e-4)
    params = {"w": jnp.array(1.0)}
    state, weights = tx.init(params), []
    for gradient in (0.5, -0.2, 0.1):
        updates, state = tx.update({"w": jnp.array(gradient)}, state, params)
        params = optax.apply_updates(params, updates)
        weights.append(params["w"])
    np.testing.assert_allclose(weights, [0.94995, 0.9248575025, 0.8922280119], rtol=1e-6)
    np.testing.assert_allclose(optax.tree.get(state, "trace")["w"], 0.3262949063, rtol=1e-6)


@pytest.mark.parametrize(("epochs", "rate"), [((0, 1, 45, 90), 0.1), ((91, 100, 135), 0.01), ((136, 150, 181), 0.001)])
def test_on_cifar_the_rate_falls_after_epochs_91_and_136(epochs, rate):
    per_epoch = 352
    schedule = learning_rate("step", 0.1, 182 * per_epoch, milestones=(91 * per_epoch, 136 * per_epoch))
    for epoch in epochs:
        for step in (epoch * per_epoch, epoch * per_epoch + per_epoch - 1):
            np.testing.assert_allclose(schedule(step), rate, rtol=1e-6)


IMAGENET = (
    *((0, 0), (1, 6.389776e-5), (1252, 0.08), (6259, 0.39993610), (6260, 0.4)),
    *((37559, 0.4), (37560, 0.04), (75120, 0.004), (100160, 4e-4)),
)


def test_on_imagenet_the_rate_warms_up_and_falls_thrice():
    per_epoch = 1252
    milestones = (30 * per_epoch, 60 * per_epoch, 80 * per_epoch)
    schedule = learning_rate("step", 0.4, 90 * per_epoch, milestones=milestones, warmup=5 * per_epoch)
    steps, rates = zip(*IMAGENET, strict=True)
    np.testing.assert_allclose([schedule(step) for step in steps], rates, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(jax.vmap(schedule))(jnp.array(steps)), rates, rtol=1e-6)


def test_milestones_may_come_in_any_order_and_the_factor_is_free():
    schedule = learning_rate("step", 1.0, 100, milestones=(60, 30), decay=0.5)
    np.testing.assert_allclose([schedule(s) for s in (0, 29, 30, 59, 60, 99)], [1, 1, 0.5, 0.5, 0.25, 0.25])


def test_the_cosine_falls_from_the_peak_to_zero_and_stays_there():
    schedule = learning_rate("cosine", 0.2, 100)
    np.testing.assert_allclose([schedule(s) for s in (0, 50, 100, 150)], [0.2, 0.1, 0, 0], atol=1e-7)
    np.testing.assert_allclose(schedule(25), 0.2 * (1 + np.sqrt(0.5)) / 2, rtol=1e-6)


def test_the_constant_stays():
    schedule = learning_rate("constant", 0.3, 100, warmup=10)
    np.testing.assert_allclose([schedule(s) for s in (0, 5, 10, 99)], [0, 0.15, 0.3, 0.3], rtol=1e-6)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_rate_is_a_float32_scalar(name):
    rate = learning_rate(name, 0.1, 10, milestones=(5,), warmup=2)(jnp.int32(7))
    assert rate.dtype == jnp.float32
    assert rate.shape == ()


def test_an_unknown_schedule_is_refused_by_name():
    with pytest.raises(ValueError, match=r"schedule .*'linear'"):
        learning_rate("linear", 0.1, 10)
