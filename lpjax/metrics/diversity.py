"""Diversity of the predictions of several networks on the same images."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np


def disagreement(logits: jax.Array, other: jax.Array) -> jax.Array:
    """Compute the fraction of images that two networks classify differently; ties select the lowest class.

    Args:
      logits: `[N, classes]`, floating point.
      other: `[N, classes]`, logits of the other network on the same images.

    Returns:
      A float32 scalar in [0, 1], not normalized by the error rate.

    Raises:
      ValueError: If the shapes differ.

    Example:
      >>> float(disagreement(jnp.array([[2.0, 1.0], [0.0, 3.0]]), jnp.array([[2.0, 1.0], [3.0, 0.0]])))
      0.5

    References:
      Fort et al., Deep Ensembles: A Loss Landscape Perspective, 2019.
    """
    _ensure_matching(logits, other)
    return jnp.mean(jnp.argmax(logits, axis=-1) != jnp.argmax(other, axis=-1), dtype=jnp.float32)


def kl_divergence(logits: jax.Array, other: jax.Array) -> jax.Array:
    """Compute the mean Kullback-Leibler divergence of the predicted distributions, `mean_x sum_c p log(p / q)`.

    Args:
      logits: `[N, classes]`, floating point; `p = softmax(logits)`.
      other: `[N, classes]`, logits of the other network on the same images; `q = softmax(other)`.

    Returns:
      A float32 scalar in nats, `>= 0` up to rounding.

    Raises:
      ValueError: If the shapes differ.

    Example:
      >>> peaked, flat = jnp.log(jnp.array([[0.9, 0.1]])), jnp.log(jnp.array([[0.5, 0.5]]))
      >>> round(float(kl_divergence(peaked, flat)), 4), round(float(kl_divergence(flat, peaked)), 4)
      (0.3681, 0.5108)

    References:
      Kullback and Leibler, Annals of Mathematical Statistics 1951.
    """
    _ensure_matching(logits, other)
    log_p = jax.nn.log_softmax(logits.astype(jnp.float32))
    log_q = jax.nn.log_softmax(other.astype(jnp.float32))
    p = jnp.exp(log_p)
    return jnp.mean(jnp.sum(jnp.where(p > 0, p * (log_p - log_q), 0), axis=-1))


def pairwise(measure: Callable[[jax.Array, jax.Array], jax.Array], logits: jax.Array) -> jax.Array:
    """Average a function of two networks over all pairs `(i, j)` with `i < j`.

    Args:
      measure: `disagreement`, `kl_divergence`, or any function of two `[N, classes]`.
      logits: `[M, N, classes]`, logits of M >= 2 networks on the same images.

    Returns:
      A scalar.

    Raises:
      ValueError: If there are fewer than two networks.

    Example:
      >>> round(float(pairwise(disagreement, jnp.array([[[2.0, 1.0]], [[2.0, 1.0]], [[0.0, 3.0]]]))), 4)
      0.6667

    References:
      Havasi et al., Training Independent Subnetworks for Robust Prediction, ICLR 2021.
    """
    if logits.ndim != 3 or len(logits) < 2:
        raise ValueError(f"logits: got {logits.shape}, expected [M, N, classes] with M of at least 2")
    first, second = map(jnp.asarray, np.triu_indices(len(logits), 1))
    return jnp.mean(jax.lax.map(lambda pair: measure(logits[pair[0]], logits[pair[1]]), (first, second)))


def _ensure_matching(logits: jax.Array, other: jax.Array) -> None:
    if logits.ndim != 2 or logits.shape != other.shape:
        raise ValueError(f"logits, other: got {logits.shape} and {other.shape}, expected [N, classes] twice")
