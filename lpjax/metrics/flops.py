"""Floating-point operations: of every parameter, of a sparse network, of a step of its training."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from lpjax.choices import one_of
from lpjax.metrics.program import multiplications

PyTree = Any

_WITHIN_MASKS = ("2:4", "dsr", "erk", "gmp", "set", "snip", "static", "uniform")
_DENSE_GRADIENT_AT_UPDATES = ("granet", "itop", "rigl")


def layer_flops(function: Callable[..., Any], params: PyTree, *inputs: Any) -> PyTree:
    """Counts the forward FLOPs per image of every parameter, by reading the traced program.

    A kernel of a convolution costs `2 * size * H_out * W_out`, of a linear layer `2 * size`: one multiplication and one
    addition per weight and place. The program is not run. Calls, `lax.scan` and `lax.cond` (its costliest branch) are
    followed; a parameter is recognized after changes of its values, shape or order, such as a mask or a dtype. Biases,
    normalization and whatever meets no input in a convolution or a matrix product cost nothing here.

    Args:
      function: `function(params, *inputs)` of any library. What is neither parameter nor input (a mask, BatchNorm
        statistics) may be closed over.
      params: Parameters, any tree of arrays or of their shapes (`jax.ShapeDtypeStruct`).
      *inputs: Arrays or shapes; the first has the batch as its leading axis, whose length does not matter.

    Returns:
      The tree of `params` with a float in place of every leaf.

    Raises:
      ValueError: If there is no batch, or a count cannot be told: parameters multiplied inside a `lax.while_loop`, a
        Pallas kernel or a `jax.shard_map`.

    Example:
      >>> params = {'kernel': jnp.zeros((3, 3, 1, 8)), 'head': jnp.zeros((8, 10)), 'bias': jnp.zeros(10)}
      >>> def network(params, images):
      ...     x = jax.lax.conv(images.transpose(0, 3, 1, 2), params['kernel'].transpose(3, 2, 0, 1), (1, 1), 'SAME')
      ...     return x.mean((2, 3)) @ params['head'] + params['bias']
      >>> layer_flops(network, params, jnp.zeros((5, 4, 4, 1)))  # 2 * 72 * 16, 2 * 80
      {'bias': 0.0, 'head': 160.0, 'kernel': 2304.0}

    References:
      Evci et al., Rigging the Lottery, ICML 2020, appendix on FLOPs.
    """
    batch = next((jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(inputs)), ())
    if not batch or not batch[0]:
        raise ValueError("layer_flops got no batch of images; give inputs [B, ...] after the parameters")
    counts = multiplications(function, params, *inputs)
    return jax.tree.unflatten(jax.tree.structure(params), [2 * count / batch[0] for count in counts])


def inference_flops(flops: PyTree, mask: PyTree) -> float:
    """Adds up the forward FLOPs of a sparse network: `sum_l f_l * kept_l / size_l`; outside jit.

    Args:
      flops: From `layer_flops`.
      mask: A total mask of the same structure; a scalar leaf counts as dense.

    Returns:
      FLOPs per image, if pruned weights cost nothing. Divide by `sum(jax.tree.leaves(flops))` for the share.

    Example:
      >>> inference_flops({'w': 80.0, 'v': 20.0}, {'w': jnp.array([True, False, False, False]), 'v': jnp.array(True)})
      40.0
    """
    kept = jax.device_get(jax.tree.map(lambda m: jnp.sum(m, dtype=jnp.int32), mask))
    return float(sum(jax.tree.leaves(jax.tree.map(lambda f, m, k: f * int(k) / jnp.size(m), flops, mask, kept))))


def training_flops(method: str, sparse: float, dense: float, every: float = math.inf) -> float:
    """Tells the FLOPs of a training step per image: forward, and twice that backward.

    With `f_S`, `f_D` and `T` for `sparse`, `dense` and `every`:

    - `dense`: `3 f_D`
    - static masks, `set`, `dsr`, `gmp`, `2:4`: `3 f_S`
    - `rigl`, `itop`, `granet`, whose updates need the dense gradient: `(3 f_S T + 2 f_S + f_D) / (T + 1)`
    - `snfs`, which needs it in every step: `2 f_S + f_D`

    Where the mask changes its layers' densities, average over the run; divide by `3 f_D` for the share.

    Args:
      method: A name of `lpjax.transforms.METHODS`, `'static'` or `'dense'`.
      sparse: Forward FLOPs of the masked network, from `inference_flops`.
      dense: Forward FLOPs of the dense network.
      every: Steps between two changes of the mask; infinite where it no longer changes.

    Returns:
      FLOPs per step and image.

    Raises:
      ValueError: If the method is unknown.

    Example:
      >>> round(training_flops('rigl', 0.24, 1.0, every=100) / 3, 5)
      0.24251

    References:
      Evci et al., Rigging the Lottery, ICML 2020, appendix on FLOPs; Dettmers and Zettlemoyer, 2019 (SNFS).

    Departs from the paper:
      The single dense batch of SNIP and the accumulation of gradients at updates are left out, as there.
    """
    one_of("method", method, ("dense", "snfs", *_DENSE_GRADIENT_AT_UPDATES, *_WITHIN_MASKS))
    if method == "dense":
        return 3 * dense
    if method in _WITHIN_MASKS:
        return 3 * sparse
    between = 0 if method == "snfs" else every
    return 3 * sparse + (dense - sparse) / (between + 1)
