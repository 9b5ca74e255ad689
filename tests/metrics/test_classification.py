import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lpjax.metrics import accuracy, calibration_error, expected_calibration_error, negative_log_likelihood

CONFIDENCES = jnp.array([0.95, 0.85, 0.75, 0.65, 0.55, 0.97, 0.35, 0.82])
CORRECT = jnp.array([1, 1, 0, 1, 0, 1, 0, 1], bool)


@st.composite
def answers(draw):
    shape = draw(st.sampled_from([(1, 2), (30, 5)]))  # few shapes: each compiles anew
    logits = draw(hnp.arrays(np.float32, shape, elements=st.floats(-20, 20, width=32)))
    labels = draw(hnp.arrays(np.int32, shape[:1], elements=st.integers(0, shape[1] - 1)))
    return jnp.asarray(logits), jnp.asarray(labels)


few = settings(deadline=None, max_examples=25)


@pytest.mark.slow
@pytest.mark.parametrize(("bins", "expected"), [(5, 0.21375), (10, 0.30125), (15, 0.30125), (20, 0.30125)])
def test_the_calibration_error_of_eight_answers_is_the_one_computed_by_hand(bins, expected):
    np.testing.assert_allclose(calibration_error(CONFIDENCES, CORRECT, bins), expected, rtol=1e-6)


@pytest.mark.parametrize("bins", [5, 10, 15, 20])
def test_a_confidence_on_an_edge_belongs_to_the_bin_below(bins):
    edges = np.arange(1, bins + 1) / bins
    below = np.nextafter(edges.astype(np.float32), np.float32(0))
    pairs = jnp.asarray(np.stack([below, edges], axis=1), jnp.float32)
    errors = jax.vmap(lambda pair: calibration_error(pair, jnp.array([True, False]), bins))(pairs)
    # In one bin the gap is that of an accuracy of 1/2; in two, the gaps would add up to 1/2 whatever the edge.
    np.testing.assert_allclose(errors, np.abs(0.5 - edges), atol=1e-6)


def test_no_confidence_at_all_still_falls_into_a_bin():
    assert calibration_error(jnp.zeros(2), jnp.array([True, True])) == 1


@pytest.mark.slow
@few
@given(answers(), st.sampled_from([1, 2, 15]))
def test_the_calibration_error_lies_between_zero_and_one(answers, bins):
    assert 0 <= float(expected_calibration_error(*answers, bins)) <= 1 + 1e-6


@pytest.mark.slow
@few
@given(answers())
def test_with_one_bin_the_calibration_error_is_mean_confidence_less_accuracy(answers):
    confidence = np.max(jax.nn.softmax(answers[0]), axis=-1).mean()
    got = expected_calibration_error(*answers, bins=1)
    np.testing.assert_allclose(got, abs(confidence - float(accuracy(*answers))), atol=1e-5)


@pytest.mark.slow
@few
@given(answers(), st.integers(0, 1000))
def test_the_order_of_the_examples_changes_nothing(answers, seed):
    order = np.random.default_rng(seed).permutation(len(answers[1]))
    for metric in (accuracy, negative_log_likelihood, expected_calibration_error):
        np.testing.assert_allclose(metric(answers[0][order], answers[1][order]), metric(*answers), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@few
@given(answers(), st.integers(-8, 8))
def test_adding_a_constant_to_the_logits_changes_nothing(answers, constant):
    quarters = jnp.round(answers[0] * 4) / 4
    for metric in (accuracy, negative_log_likelihood, expected_calibration_error):
        shifted = metric(quarters + jnp.float32(constant), answers[1])
        np.testing.assert_allclose(shifted, metric(quarters, answers[1]), rtol=1e-4, atol=1e-5)


def test_an_answer_that_is_right_as_often_as_it_says_is_perfectly_calibrated():
    logits = jnp.log(jnp.tile(jnp.array([0.75, 0.25]), (8, 1)))
    labels = jnp.array([0, 0, 0, 1] * 2)
    np.testing.assert_allclose(expected_calibration_error(logits, labels), 0, atol=1e-6)
    np.testing.assert_allclose(accuracy(logits, labels), 0.75)


def test_overconfidence_is_the_distance_from_one():
    logits = jnp.tile(jnp.array([100.0, 0.0]), (10, 1))
    np.testing.assert_allclose(expected_calibration_error(logits, jnp.array([0] * 7 + [1] * 3)), 0.3, rtol=1e-6)


def test_the_likelihood_is_minus_the_mean_log_probability_in_nats():
    logits = jnp.log(jnp.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]]))
    expected = -(np.log(0.7) + np.log(0.3)) / 2
    np.testing.assert_allclose(negative_log_likelihood(logits, jnp.array([0, 2])), expected, rtol=1e-6)


def test_the_likelihood_of_huge_logits_stays_finite():
    logits = jnp.array([[1e4, 0.0], [0.0, 1e4]])
    np.testing.assert_allclose(negative_log_likelihood(logits, jnp.array([0, 0])), 5e3)


def test_the_lowest_class_wins_a_tie():
    assert accuracy(jnp.zeros((2, 3)), jnp.array([0, 1])) == 0.5


@pytest.mark.parametrize("metric", [accuracy, negative_log_likelihood, expected_calibration_error])
def test_metrics_are_float32_under_jit_whatever_the_logits(metric):
    logits = jax.random.normal(jax.random.key(0), (20, 4)).astype(jnp.bfloat16)
    labels = jnp.arange(20) % 4
    compiled = jax.jit(metric)(logits, labels)
    assert compiled.dtype == jnp.float32
    np.testing.assert_allclose(compiled, metric(logits.astype(jnp.float32), labels), rtol=1e-6)


@pytest.mark.parametrize("metric", [accuracy, negative_log_likelihood, expected_calibration_error])
def test_labels_of_another_shape_are_refused_before_they_broadcast(metric):
    with pytest.raises(ValueError, match=r"logits, labels: .*\(4, 3\).*\(4, 1\)"):
        metric(jnp.zeros((4, 3)), jnp.zeros((4, 1), jnp.int32))


def test_confidences_and_correctness_must_be_of_one_length():
    with pytest.raises(ValueError, match=r"confidences, correct: .*\(3,\).*\(1,\)"):
        calibration_error(jnp.ones(3), jnp.ones(1))
