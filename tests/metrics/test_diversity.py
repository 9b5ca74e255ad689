import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lpjax.metrics import disagreement, kl_divergence, pairwise

compiled = jax.jit(pairwise, static_argnums=0)
LOGITS = hnp.arrays(np.float32, (3, 6, 4), elements=st.floats(-20, 20, width=32))


def test_disagreement_is_a_share_of_images_whatever_the_labels():
    first, second = jnp.eye(4), jnp.eye(4)[jnp.array([0, 2, 1, 3])]
    assert disagreement(first, second) == 0.5
    assert disagreement(jnp.zeros((2, 3)), jnp.array([[1.0, 0, 0], [0, 0, 1]])) == 0.5  # the lowest class wins a tie


def test_divergences_are_those_computed_by_hand_and_depend_on_the_order():
    p, q = np.array([[0.7, 0.2, 0.1], [0.5, 0.25, 0.25]]), np.array([[0.4, 0.4, 0.2], [0.25, 0.5, 0.25]])
    forth, back = np.sum(p * np.log(p / q), axis=1).mean(), np.sum(q * np.log(q / p), axis=1).mean()
    log_p, log_q = jnp.log(jnp.asarray(p, jnp.float32)) + 3, jnp.log(jnp.asarray(q, jnp.float32))
    np.testing.assert_allclose(kl_divergence(log_p, log_q), forth, rtol=1e-5)
    np.testing.assert_allclose(kl_divergence(log_q, log_p), back, rtol=1e-5)
    assert abs(forth - back) > 1e-3


@pytest.mark.slow
def test_pairs_are_unordered_and_taken_in_order():
    networks = jax.random.normal(jax.random.key(0), (4, 10, 5))
    for measure in (disagreement, kl_divergence):
        pairs = [float(measure(networks[i], networks[j])) for i in range(4) for j in range(i + 1, 4)]
        np.testing.assert_allclose(pairwise(measure, networks), np.mean(pairs), rtol=1e-5)
    assert pairwise(kl_divergence, networks) != pairwise(kl_divergence, networks[::-1])


@given(LOGITS)
def test_networks_that_are_alike_have_no_diversity(logits):
    for measure in (disagreement, kl_divergence):
        assert abs(float(compiled(measure, jnp.asarray(logits[[0, 0, 0]])))) < 1e-6


@given(LOGITS)
def test_diversity_is_never_negative_and_disagreement_symmetric(logits):
    logits = jnp.asarray(logits)
    assert float(compiled(kl_divergence, logits)) > -1e-5
    assert 0 <= float(compiled(disagreement, logits)) <= 1
    assert disagreement(logits[0], logits[1]) == disagreement(logits[1], logits[0])


def test_sure_answers_that_differ_diverge_finitely():
    np.testing.assert_allclose(kl_divergence(jnp.array([[1e4, 0.0]]), jnp.array([[0.0, 1e4]])), 1e4)
    assert kl_divergence(jnp.array([[1e4, 0.0]]), jnp.array([[1e4, 0.0]])) == 0


@pytest.mark.parametrize("measure", [disagreement, kl_divergence])
def test_measures_are_float32_under_jit_whatever_the_logits(measure):
    logits = jax.random.normal(jax.random.key(0), (3, 20, 4)).astype(jnp.bfloat16)
    got = compiled(measure, logits)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, pairwise(measure, logits.astype(jnp.float32)), rtol=1e-5)


def test_other_images_and_lonely_networks_are_refused():
    for measure in (disagreement, kl_divergence):
        with pytest.raises(ValueError, match=r"logits, other: .*\(4, 3\).*\(5, 3\)"):
            measure(jnp.zeros((4, 3)), jnp.zeros((5, 3)))
    with pytest.raises(ValueError, match=r"logits: .*\(1, 4, 3\)"):
        pairwise(disagreement, jnp.zeros((1, 4, 3)))
