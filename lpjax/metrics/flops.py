"""Floating-point operations per parameter, per sparse network, and per training step."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from lpjax.choices import one_of
from lpjax.metrics.program import multiplications

PyTree = Any


def layer_flops(function: Callable[..., Any], params: PyTree, *inputs: Any) -> PyTree:
    """Count the forward FLOPs per image of every parameter, from the traced program.

    The kernel of a convolution has `2 * size * H_out * W_out` FLOPs, that of a linear layer `2 * size`: one
    multiplication and one addition per weight and output position. The program is traced, not run. Calls, `lax.scan`
    and `lax.cond` (its most expensive branch) are followed. A parameter is tracked through elementwise operations,
    casts, reshapes and transposes, e.g. multiplication by a mask. Only convolutions and matrix products of parameters
    with inputs count: biases and normalization have no FLOPs.

    Args:
      function: `function(params, *inputs)`, of any library. Masks and batch statistics may be closed over.
      params: Any pytree of arrays or `jax.ShapeDtypeStruct`.
      *inputs: Arrays or `jax.ShapeDtypeStruct`; the leading axis of the first is the batch, of any size.

    Returns:
      A pytree of the structure of `params` with a float per leaf.

    Raises:
      ValueError: If there is no batch, or parameters are multiplied inside a `lax.while_loop`, a Pallas kernel or a
        `jax.shard_map`, where FLOPs cannot be counted.

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
    leaves = jax.tree.leaves(inputs)
    if not leaves or not jnp.ndim(leaves[0]) or not jnp.shape(leaves[0])[0]:
        raise ValueError("inputs: got no batch, expected arrays [B, ...] after the parameters")
    batch = jnp.shape(leaves[0])[0]
    counts = multiplications(function, params, *inputs)
    return jax.tree.unflatten(jax.tree.structure(params), [2 * count / batch for count in counts])


def inference_flops(flops: PyTree, mask: PyTree) -> float:
    """Compute the forward FLOPs of a sparse network, `sum_l f_l * kept_l / size_l`; not jittable.

    Args:
      flops: From `layer_flops`.
      mask: A total mask of the same structure; a scalar leaf counts as dense.

    Returns:
      FLOPs per image without those of pruned weights. Their ratio to the dense network is the result divided by
      `sum(jax.tree.leaves(flops))`.

    Example:
      >>> inference_flops({'w': 80.0, 'v': 20.0}, {'w': jnp.array([True, False, False, False]), 'v': jnp.array(True)})
      40.0
    """
    kept = jax.device_get(jax.tree.map(lambda leaf: jnp.sum(leaf, dtype=jnp.int32), mask))
    of_leaves = jax.tree.map(lambda flop, leaf, count: flop * int(count) / jnp.size(leaf), flops, mask, kept)
    return float(sum(jax.tree.leaves(of_leaves)))


def training_flops(dense_gradient: str, sparse: float, dense: float, every: float = math.inf) -> float:
    """Compute the FLOPs of a training step per image; the backward pass has twice the FLOPs of the forward pass.

    With `f_S`, `f_D` and `T` for `sparse`, `dense` and `every`, by when growth needs the dense gradient:

    - never (static masks, `set`, `dsr`, `gmp`, `2:4`): `3 f_S`
    - at updates of the mask (`rigl`, `itop`, `granet`): `(3 f_S T + 2 f_S + f_D) / (T + 1)`
    - always (`snfs`): `2 f_S + f_D`

    Where layer densities change, average over the run. The ratio to dense training is the result divided by `3 f_D`.

    Args:
      dense_gradient: `'never'`, `'at updates'` or `'always'`; `lpjax.transforms.METHODS` has it for every method.
      sparse: Forward FLOPs of the masked network, from `inference_flops`.
      dense: Forward FLOPs of the dense network.
      every: Steps between mask updates; infinite after the last one.

    Returns:
      FLOPs per step and image.

    Raises:
      ValueError: If `dense_gradient` is none of the three.

    Example:
      >>> round(training_flops('at updates', 0.24, 1.0, every=100) / 3, 5)
      0.24251

    References:
      Evci et al., Rigging the Lottery, ICML 2020, appendix on FLOPs; Dettmers and Zettlemoyer, 2019 (SNFS).

    Departs from the paper:
      None; like the paper, this does not count the dense batch of SNIP and the accumulation of gradients at updates.
    """
    one_of("dense_gradient", dense_gradient, ("never", "at updates", "always"))
    if dense_gradient == "never":
        return 3 * sparse
    sparse_steps = 0 if dense_gradient == "always" else every
    return 3 * sparse + (dense - sparse) / (sparse_steps + 1)
