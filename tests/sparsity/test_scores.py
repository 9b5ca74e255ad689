"""Scores: the higher, the longer a weight lives."""

import jax
import jax.numpy as jnp
import numpy as np

from lpjax.sparsity import gradient, magnitude, random, saliency, select

PARAMS = {"a": jnp.array([[1.0, -2.0], [0.0, -0.5]]), "c": jnp.array([3.0])}


def test_magnitude_and_gradient_are_absolute_values_in_the_leaves_dtype():
    tree = jax.tree.map(lambda p: p.astype(jnp.bfloat16), PARAMS)
    for score in (magnitude, gradient):
        answer = score(tree)
        assert answer["a"].dtype == jnp.bfloat16
        assert answer["a"].tolist() == [[1.0, 2.0], [0.0, 0.5]]


def test_saliency_picks_the_weights_that_snip_picks():
    params = {"w": jnp.array([[0.5, -1.0, 2.0, 0.1]])}
    grads = {"w": jnp.array([[1.0, -0.2, 0.05, 4.0]])}
    scores = saliency(params, grads)
    np.testing.assert_allclose(scores["w"][0], [0.5, 0.2, 0.1, 0.4], rtol=1e-6)
    assert jax.jit(select)(scores, {"w": jnp.ones((1, 4), bool)}, 2)["w"].tolist() == [[True, False, False, True]]


def test_random_scores_follow_the_key_and_differ_between_leaves_of_one_shape():
    params = {"a": jnp.zeros((4, 5)), "b": jnp.zeros((4, 5))}
    first, again, other = (random(jax.random.key(k), params) for k in (0, 0, 1))
    assert (first["a"] == again["a"]).all()
    assert (first["b"] == again["b"]).all()
    assert (first["a"] != other["a"]).any()
    assert (first["a"] != first["b"]).any()


def test_random_scores_are_float32_in_the_unit_interval_whatever_the_parameters_are():
    scores = random(jax.random.key(3), {"w": jnp.full(1000, jnp.inf, jnp.bfloat16)})["w"]
    assert scores.dtype == jnp.float32
    assert scores.min() >= 0
    assert scores.max() < 1
    assert abs(scores.mean() - 0.5) < 0.05
