"""Structure that hardware can use: so many of every few neighbors."""

from typing import Any

import jax
import jax.numpy as jnp

from lpjax.sparsity.select import ordered_bits

PyTree = Any


def select_n_of_m(scores: PyTree, mask: PyTree, n: int = 2, m: int = 4) -> PyTree:
    """Keeps the `n` highest-scoring living weights of every `m` that follow one another along the input axis.

    Groups are cut from index 0 on. Ties fall by index, lowest first, as in `select`.

    Args:
      scores: A tree of floating-point scores `[..., in, out]`, free of NaN; ignored where the mask is scalar.
      mask: A total mask; only its living weights can be kept.
      n: How many to keep of a group, at least 1; a group with fewer living weights keeps all of them.
      m: Weights a group.

    Returns:
      A mask of the same structure. Leaves without an input axis, or whose input axis `m` does not divide (the
      three channels of a stem, depthwise kernels), keep all they have.

    Raises:
      ValueError: If `n` is below 1 or above `m`.

    Example:
      >>> scores = {'w': jnp.array([[0.1], [0.9], [0.5], [0.5], [3.0], [1.0], [2.0], [4.0]])}
      >>> select_n_of_m(scores, {'w': jnp.ones((8, 1), bool)})['w'].ravel().astype(int).tolist()
      [0, 1, 0, 1, 1, 0, 0, 1]

    References:
      Mishra et al., Accelerating Sparse Deep Neural Networks, 2021, section 3.
    """
    if not 1 <= n <= m:
        raise ValueError(f"{n} of {m} is no choice of neighbors; give 1 <= n <= m, such as n=2, m=4")

    def leaf(alive: jax.Array, score: jax.Array) -> jax.Array:
        if jnp.ndim(alive) < 2 or alive.shape[-2] % m:
            return alive
        dtype = jnp.float64 if score.dtype == jnp.float64 else jnp.float32
        rank = jnp.where(alive, ordered_bits(score.astype(dtype)), 0)
        *outer, inputs, outputs = alive.shape
        rank = rank.reshape(*outer, inputs // m, m, outputs)
        mine, other = rank[..., :, None, :], rank[..., None, :, :]
        later = jnp.arange(m)[None, :, None] > jnp.arange(m)[:, None, None]
        better = jnp.sum((other > mine) | ((other == mine) & later), axis=-2, dtype=jnp.int32)
        return alive & (better < n).reshape(alive.shape)

    return jax.tree.map(leaf, mask, scores)
