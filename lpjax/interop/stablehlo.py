"""A network as a serialized program of JAX, which runs without lpjax and without the code of the network."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import export

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
MONTHS = 6
"""For how long later versions of JAX are guaranteed to read a program."""


def to_stablehlo(predict: Callable[[jax.Array], jax.Array], image: tuple[int, int, int]) -> bytes:
    """Serialize a network, weights included, for any number of images and for CPU, GPU and TPU.

    `jax.export.deserialize(content).call(images)` computes the logits. JAX guarantees that versions up to 6 months
    newer read it; keep the ticket to export it again.

    Args:
      predict: Images uint8 `[B, H, W, C]` to logits `[B, classes]`.
      image: `(H, W, C)`.

    Returns:
      The bytes of the program.

    Example:
      >>> content = to_stablehlo(lambda images: images.astype(jnp.float32).sum((1, 2)), (4, 4, 3))
      >>> export.deserialize(bytearray(content)).call(jnp.ones((2, 4, 4, 3), jnp.uint8)).tolist()
      [[16.0, 16.0, 16.0], [16.0, 16.0, 16.0]]

    References:
      https://docs.jax.dev/en/latest/export/export.html#compatibility-guarantees.
    """
    (batch,) = export.symbolic_shape("batch")
    program = export.export(jax.jit(predict), platforms=PLATFORMS)
    return bytes(program(jax.ShapeDtypeStruct((batch, *image), jnp.uint8)).serialize())
