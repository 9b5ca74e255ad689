"""Evaluation: logits and accuracy of a full split."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import sequential_vmap
from jax.sharding import Mesh
from jax.tree_util import Partial

from lpjax.train.sharding import pad_to_multiple, shard_batch
from lpjax.types import Apply, Batch, Preprocess, Variables

Evaluate = Callable[[Variables], jax.Array]


def predict(
    apply: Apply,
    preprocess: Preprocess,
    variables: Variables,
    images: jax.Array,
    batch_size: int = 500,
    mesh: Mesh | None = None,
) -> jax.Array:
    """Compute the logits of many images in batches, within one compiled program.

    Args:
      apply: The network.
      preprocess: uint8 images to normalized floats.
      variables: Parameters and batch statistics.
      images: `[N, H, W, C]`, uint8, for any N.
      batch_size: Images per batch, summed over all devices.
      mesh: Shards every batch over these devices, after padding it to a multiple of their number.

    Returns:
      `[N, classes]`, float32, replicated over the mesh.
    """
    devices = 1 if mesh is None else mesh.size
    batch_size += -batch_size % devices

    def on_shard(variables: Variables, batch: jax.Array, axis_name: str | None) -> jax.Array:
        logits = apply(variables, preprocess(batch), train=False)[0]
        if axis_name is None:
            return logits
        return lax.all_gather(logits, axis_name, tiled=True)

    sharded = shard_batch(Partial(on_shard, variables), mesh)

    def logits_of(batch: jax.Array) -> jax.Array:
        if batch.shape[0] % devices == 0:
            return sharded(batch)
        return sharded(pad_to_multiple(batch, devices))[: batch.shape[0]]

    bulk = images.shape[0] // batch_size * batch_size
    parts = []
    if bulk:
        logits = lax.map(logits_of, images[:bulk].reshape(-1, batch_size, *images.shape[1:]))
        parts.append(logits.reshape(bulk, -1))
    if bulk < images.shape[0]:
        parts.append(logits_of(images[bulk:]))
    return jnp.concatenate(parts)


def evaluator(
    apply: Apply, preprocess: Preprocess, batch: Batch, batch_size: int = 500, mesh: Mesh | None = None
) -> Evaluate:
    """Bind a split to an evaluation, so that it is a function of the variables alone.

    Args:
      apply: The network.
      preprocess: uint8 images to normalized floats.
      batch: The split.
      batch_size: Images per batch, summed over all devices.
      mesh: Shards every batch over these devices.

    Returns:
      `evaluate(variables) -> accuracy`, a fraction as float32 scalar. It is a pytree whose leaves are the split, so a
      compiled function can take it as an argument instead of embedding the images as constants.
    """

    def accuracy(batch: Batch, variables: Variables) -> jax.Array:
        logits = predict(apply, preprocess, variables, batch.images, batch_size, mesh)
        correct = jnp.sum(jnp.argmax(logits, -1) == batch.labels, dtype=jnp.int32)
        return correct.astype(jnp.float32) / batch.labels.shape[0]

    return Partial(accuracy, batch)


def evaluator_of_batch_statistics(
    apply: Apply, preprocess: Preprocess, batch: Batch, batch_size: int = 500, mesh: Mesh | None = None
) -> Evaluate:
    """Bind a split to an evaluation in which BatchNorm uses the statistics of the very batch that it normalizes.

    It needs no recalibrated statistics, so that networks whose weights have changed are compared in one pass. The
    accuracy is close to that after recalibration if batches are large and, like the split, drawn at random.

    Args:
      apply: The network.
      preprocess: uint8 images to normalized floats.
      batch: The split.
      batch_size: Images per batch. The split is divided into equal batches of at least this size; at most so many
        images as there are batches, less one, are left out at its end.
      mesh: Shards every batch over these devices; statistics are those of the full batch.

    Returns:
      `evaluate(variables) -> accuracy`, a fraction as float32 scalar; the statistics of `variables` are ignored.
    """
    total = batch.labels.shape[0]
    batches = max(1, total // batch_size)
    size = total // batches

    def on_shard(batch: Batch, variables: Variables, rows: jax.Array, axis_name: str | None) -> jax.Array:
        logits = apply(variables, preprocess(batch.images[rows]), train=True, axis_name=axis_name)[0]
        correct = jnp.sum(jnp.argmax(logits, -1) == batch.labels[rows], dtype=jnp.int32)
        return correct if axis_name is None else lax.psum(correct, axis_name)

    def accuracy(batch: Batch, variables: Variables) -> jax.Array:
        rows = jnp.arange(batches * size).reshape(batches, size)
        correct = lax.map(shard_batch(Partial(on_shard, batch, variables), mesh), rows)
        return jnp.sum(correct).astype(jnp.float32) / (batches * size)

    return Partial(accuracy, batch)


def with_sequential_vmap(evaluate: Evaluate) -> Evaluate:
    """Make `jax.vmap(evaluate)` run networks one after another, which is fast for convolutional networks.

    A convolution batched over its *weights* becomes a grouped convolution, several times slower than evaluating the
    networks sequentially. This function lowers the same `jax.vmap` to a loop with the memory of one network. Logits
    are bit-identical to those of single networks, except for a smaller last batch: XLA:CPU compiles it differently
    outside the loop, and its logits may differ in the last bit.

    Args:
      evaluate: A function of `Variables`.

    Returns:
      The same function, without a reverse-mode derivative.
    """
    return sequential_vmap(lambda variables: evaluate(variables))
