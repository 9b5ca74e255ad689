"""The output ensemble: many networks that vote, at many times the cost; what a pool is compared with."""

import jax
import jax.numpy as jnp

from lpjax.choices import one_of

VOTES = ("logits", "probabilities")


def ensemble(logits: jax.Array, votes: str = "logits") -> jax.Array:
    """Average what several networks say of the same images.

    Args:
      logits: `[M, N, classes]`, floating point, of `M` networks.
      votes: `'logits'` averages these; `'probabilities'` averages their softmax and returns its logarithm, so that
        every metric of logits measures the ensemble too.

    Returns:
      `[N, classes]`.

    Raises:
      ValueError: If `votes` is unknown, or there is no network.

    Example:
      >>> sure, unsure = jnp.array([[9.0, 0.0]]), jnp.array([[0.0, 2.0]])
      >>> ensemble(jnp.stack([sure, unsure])).tolist()
      [[4.5, 1.0]]
      >>> [round(p, 2) for p in jnp.exp(ensemble(jnp.stack([sure, unsure]), 'probabilities'))[0].tolist()]
      [0.56, 0.44]

    References:
      Yin et al., Lottery Pools, AAAI 2023, Figure 7 (logits: "averaging the digit");
      Lakshminarayanan et al., NeurIPS 2017 (probabilities).
    """
    one_of("votes", votes, VOTES)
    if logits.ndim != 3 or not logits.shape[0]:
        raise ValueError(f"got logits {logits.shape}, wanted [networks, images, classes] of one network or more")
    if votes == "logits":
        return jnp.mean(logits, axis=0)
    log_probabilities = jax.nn.log_softmax(logits, axis=-1)
    return jax.nn.logsumexp(log_probabilities, axis=0) - jnp.log(jnp.asarray(logits.shape[0], logits.dtype))
