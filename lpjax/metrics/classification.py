"""Accuracy, negative log-likelihood and calibration of a classifier."""

import jax
import jax.numpy as jnp
import numpy as np


def accuracy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Compute the fraction of examples whose largest logit is that of the label; ties select the lowest class.

    Args:
      logits: `[N, classes]`, floating point.
      labels: `[N]`, integers in 0..classes-1.

    Returns:
      A float32 scalar in [0, 1].

    Raises:
      ValueError: If the shapes do not match.

    Example:
      >>> float(accuracy(jnp.array([[2.0, 1.0], [0.0, 3.0]]), jnp.array([0, 0])))
      0.5
    """
    _ensure_matching(logits, labels)
    return jnp.mean(jnp.argmax(logits, axis=-1) == labels, dtype=jnp.float32)


def negative_log_likelihood(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Compute the mean negative log-likelihood of the labels, `-mean(log softmax(logits)[label])`.

    Args:
      logits: `[N, classes]`, floating point.
      labels: `[N]`, integers in 0..classes-1; a label out of range gives NaN.

    Returns:
      A float32 scalar in nats, `>= 0`.

    Raises:
      ValueError: If the shapes do not match.

    Example:
      >>> round(float(negative_log_likelihood(jnp.zeros((3, 10)), jnp.array([0, 4, 9]))), 4)  # log 10
      2.3026
    """
    _ensure_matching(logits, labels)
    log_likelihoods = jax.nn.log_softmax(logits.astype(jnp.float32))
    return -jnp.mean(jnp.take_along_axis(log_likelihoods, labels[:, None], axis=-1))


def expected_calibration_error(logits: jax.Array, labels: jax.Array, bins: int = 15) -> jax.Array:
    """Compute the expected calibration error, where confidence is the largest softmax probability.

    Args:
      logits: `[N, classes]`, floating point.
      labels: `[N]`, integers in 0..classes-1.
      bins: Number of equal-width bins of confidence, `(low, high]`.

    Returns:
      A float32 scalar in [0, 1]; see `calibration_error`.

    Raises:
      ValueError: If the shapes do not match.

    Example:
      >>> confident_and_wrong = jnp.array([[50.0, 0.0], [50.0, 0.0]])
      >>> float(expected_calibration_error(confident_and_wrong, jnp.array([1, 1])))
      1.0

    References:
      Guo et al., On Calibration of Modern Neural Networks, ICML 2017 (15 bins).
    """
    _ensure_matching(logits, labels)
    confidences = jnp.max(jax.nn.softmax(logits.astype(jnp.float32)), axis=-1)
    return calibration_error(confidences, jnp.argmax(logits, axis=-1) == labels, bins)


def calibration_error(confidences: jax.Array, correct: jax.Array, bins: int = 15) -> jax.Array:
    """Compute the calibration error over bins of confidence, `sum_b n_b/N |accuracy_b - confidence_b|`.

    Args:
      confidences: `[N]`, floating point in [0, 1].
      correct: `[N]`, bool or 0 and 1.
      bins: Number of equal-width bins of confidence, `(low, high]`.

    Returns:
      A float32 scalar in [0, 1].

    Raises:
      ValueError: If the shapes do not match.

    Example:
      >>> round(float(calibration_error(jnp.array([0.9, 0.9]), jnp.array([True, False]))), 4)
      0.4
    """
    if confidences.ndim != 1 or confidences.shape != correct.shape:
        raise ValueError(f"confidences, correct: got {confidences.shape} and {correct.shape}, expected [N] twice")
    confidences = confidences.astype(jnp.float32)
    correct = correct.astype(jnp.float32)
    # Edges are rounded once from the exact fraction, so a confidence of 0.95 equals the edge 19/20.
    inner_edges = jnp.asarray(np.arange(1, bins) / bins, jnp.float32)
    bin_of = jnp.searchsorted(inner_edges, confidences, side="left")
    gaps = jax.ops.segment_sum(correct - confidences, bin_of, num_segments=bins)
    return jnp.sum(jnp.abs(gaps)) / confidences.size


def _ensure_matching(logits: jax.Array, labels: jax.Array) -> None:
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(f"logits, labels: got {logits.shape} and {labels.shape}, expected [N, classes] and [N]")
