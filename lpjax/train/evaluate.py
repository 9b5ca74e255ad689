"""Evaluation: logits and accuracy of a whole split."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import sequential_vmap
from jax.sharding import Mesh
from jax.tree_util import Partial

from lpjax.train.spread import fill, spread
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
    """Computes the logits of many images, batch after batch in one program.

    Args:
      apply: The network.
      preprocess: uint8 images to normalized floats.
      variables: Parameters and the statistics to normalize with.
      images: `[N, H, W, C]`, uint8.
      batch_size: Images at a time, of all devices together; any N is served.
      mesh: Spreads every batch over these devices, each batch filled up to a multiple of their number.

    Returns:
      `[N, classes]`, float32; on every device of the mesh.
    """
    devices = 1 if mesh is None else mesh.size
    batch_size += -batch_size % devices

    def share(variables: Variables, batch: jax.Array, axis_name: str | None) -> jax.Array:
        logits = apply(variables, preprocess(batch), train=False)[0]
        return logits if axis_name is None else lax.all_gather(logits, axis_name, tiled=True)

    everyone = spread(Partial(share, variables), mesh)

    def logits(batch: jax.Array) -> jax.Array:
        if batch.shape[0] % devices == 0:
            return everyone(batch)
        return everyone(fill(batch, devices))[: batch.shape[0]]

    bulk = images.shape[0] // batch_size * batch_size
    parts = []
    if bulk:
        whole = lax.map(logits, images[:bulk].reshape(-1, batch_size, *images.shape[1:]))
        parts.append(whole.reshape(bulk, -1))
    if bulk < images.shape[0]:
        parts.append(logits(images[bulk:]))
    return jnp.concatenate(parts)


def evaluator(
    apply: Apply, preprocess: Preprocess, batch: Batch, batch_size: int = 500, mesh: Mesh | None = None
) -> Evaluate:
    """Binds a split, so that what remains is a function of the network alone.

    Args:
      apply: The network.
      preprocess: uint8 images to normalized floats.
      batch: The split.
      batch_size: Images at a time, of all devices together.
      mesh: Spreads every batch over these devices.

    Returns:
      `evaluate(variables) -> accuracy`, a fraction as float32 scalar. It is a pytree whose leaves are the split, so a
      compiled function can take it as an argument instead of baking the images in.
    """

    def accuracy(batch: Batch, variables: Variables) -> jax.Array:
        logits = predict(apply, preprocess, variables, batch.images, batch_size, mesh)
        right = jnp.sum(jnp.argmax(logits, -1) == batch.labels, dtype=jnp.int32)
        return right.astype(jnp.float32) / batch.labels.shape[0]

    return Partial(accuracy, batch)


def mapped(evaluate: Evaluate) -> Evaluate:
    """Makes `jax.vmap(evaluate)` fast for convolutional networks.

    A convolution batched over its *weights* becomes a grouped convolution, several times slower than one network after
    another. This lowers the same `jax.vmap` to a loop with the memory of one network. Logits are bit-equal to those of
    one network at a time, but for a smaller last batch: XLA:CPU compiles that one differently outside the loop, and its
    logits may differ in the last bit.

    Args:
      evaluate: A function of `Variables`.

    Returns:
      The same function; forward only, it has no reverse-mode derivative.
    """
    return sequential_vmap(lambda variables: evaluate(variables))
