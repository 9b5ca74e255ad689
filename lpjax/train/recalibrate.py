"""Recalibration: re-estimation of BatchNorm statistics after weights have changed."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import Mesh
from jax.tree_util import Partial

from lpjax.train.sharding import shard_batch
from lpjax.types import Apply, Augment, Batch, PyTree, Variables, as_partial

Recalibrate = Callable[[Variables, jax.Array], Variables]


def recalibrate(
    apply: Apply,
    variables: Variables,
    load: Callable[[jax.Array], jax.Array],
    indices: jax.Array,
    batch_size: int,
    mesh: Mesh | None = None,
) -> Variables:
    """Replace batch statistics by the mean of the statistics of training batches, with equal weight per batch.

    `mean = 1/n Σ_b mean_b`, `var = 1/n Σ_b var_b`: the mean of variances, not the pooled variance.

    Args:
      apply: The network.
      variables: Parameters and batch statistics; the values of the statistics are ignored.
      load: Image indices `[B]` to normalized images `[B, H, W, C]`. With a mesh, a `jax.tree_util.Partial` that binds
        the arrays it reads.
      indices: `[N]`, the images to use, in order.
      batch_size: Images per batch; a smaller last batch has the same weight as the others.
      mesh: Shards every batch over these devices; statistics are those of the full batch. If the number of devices
        does not divide a batch, every device computes the full batch.

    Returns:
      The same parameters with new statistics.

    References:
      Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization, UAI 2018, section 3.2.

    Departs from the authors' code:
      Their code averages unbiased batch variances; those of Flax are biased. The ratio is n/(n-1) with n = B H W, and
      differs from 1 by less than 0.1 %.
    """

    def on_shard(variables: Variables, load: Any, rows: jax.Array, axis_name: str | None) -> PyTree:
        return apply(variables, load(rows), train=True, axis_name=axis_name)[1]

    if not jax.tree.leaves(variables.stats):
        return variables
    statistics = shard_batch(Partial(on_shard, variables, as_partial(load)), mesh)
    bulk = indices.shape[0] // batch_size * batch_size
    parts = []
    if bulk:
        parts.append(lax.map(statistics, indices[:bulk].reshape(-1, batch_size)))
    if bulk < indices.shape[0]:
        parts.append(jax.tree.map(lambda s: s[None], statistics(indices[bulk:])))
    stats = jax.tree.map(lambda *s: jnp.mean(jnp.concatenate(s), axis=0), *parts)
    return Variables(variables.params, stats)


def recalibrator(
    apply: Apply,
    augment: Augment,
    data: Batch,
    *,
    images: int,
    batch_size: int,
    shuffle: bool = True,
    mesh: Mesh | None = None,
) -> Recalibrate:
    """Bind the training split and a number of images to a recalibration.

    The key determines the images, their order and their augmentation, so candidates recalibrated with the same key
    differ only in their weights (common random numbers).

    Args:
      apply: The network.
      augment: Keys and uint8 images to normalized floats.
      data: The training split.
      images: Number of images to use; at most the full split is used.
      batch_size: Images per batch.
      shuffle: If True, images and their order are drawn with the key. If False, the first images are taken in order.
      mesh: Shards every batch over these devices; the augmentation of an image does not depend on the device.

    Returns:
      `recalibrate(variables, key) -> variables`. It is a pytree whose leaves are the split, so a compiled function can
      take it as an argument instead of embedding the images as constants.
    """
    budget = min(images, data.labels.shape[0])

    def recalibrated(data: Batch, variables: Variables, key: jax.Array) -> Variables:
        order_key, augment_key = jax.random.split(key)
        indices = jnp.arange(data.labels.shape[0])
        if shuffle:
            indices = jax.random.permutation(order_key, data.labels.shape[0])

        def load(images: jax.Array, key: jax.Array, rows: jax.Array) -> jax.Array:
            return augment(jax.vmap(jax.random.fold_in, (None, 0))(key, rows), images[rows])

        bound_load = Partial(load, data.images, augment_key)
        return recalibrate(apply, variables, bound_load, indices[:budget], batch_size, mesh)

    return Partial(recalibrated, data)
