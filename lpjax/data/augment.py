"""Augmentation and normalization, as part of the jitted step."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from lpjax.choices import one_of
from lpjax.errors import UserError
from lpjax.types import Augment, Preprocess

PADS = {"zero": "constant", "reflect": "reflect"}


def preprocessor(mean: Sequence[float], std: Sequence[float]) -> Preprocess:
    """Make a function that normalizes images, `(images / 255 - mean) / std`.

    Args:
      mean: Mean of every channel, for pixels in [0, 1].
      std: Standard deviation of every channel, for pixels in [0, 1], above 0.

    Returns:
      A pure function from images `[B, H, W, C]`, uint8, to float32.

    Example:
      >>> preprocess = preprocessor((0.5,), (0.25,))
      >>> preprocess(jnp.array([[[[0]], [[255]]]], jnp.uint8)).ravel().tolist()
      [-2.0, 2.0]
    """
    center = np.asarray(mean, np.float32)
    scale = np.asarray(std, np.float32)

    def preprocess(images: jax.Array) -> jax.Array:
        return (images.astype(jnp.float32) / 255 - center) / scale

    return preprocess


def augmenter(
    mean: Sequence[float], std: Sequence[float], *, crop: int = 4, flip: bool = True, pad: str = "zero"
) -> Augment:
    """Make a function that applies random crops and horizontal flips, and normalizes.

    An image is padded by `crop` pixels on every side *before* normalization, cropped to its size at a uniformly drawn
    position, and flipped with probability 1/2. The result for an image depends only on its key, not on how a batch is
    sharded over devices.

    Args:
      mean: Mean of every channel, for pixels in [0, 1].
      std: Standard deviation of every channel, for pixels in [0, 1], above 0.
      crop: Pixels of padding, at least 0.
      flip: Whether to flip images at random.
      pad: `'zero'` pads with black pixels, `'reflect'` with the image reflected at its edge.

    Returns:
      A pure function from keys `[B]` and images `[B, H, W, C]`, uint8, to float32 images. With `crop=0, flip=False` it
      is `preprocessor(mean, std)` and ignores the keys.

    Raises:
      UserError: If `crop` is negative, or `pad` is unknown.

    Example:
      >>> augment = augmenter((0.5,), (0.25,), crop=1, flip=False)
      >>> augment(jax.random.split(jax.random.key(0), 2), jnp.zeros((2, 8, 8, 1), jnp.uint8)).shape
      (2, 8, 8, 1)
    """
    if crop < 0:
        raise UserError(f"crop: got {crop}, expected at least 0 pixels")
    mode = PADS[one_of("pad", pad, PADS)]
    preprocess = preprocessor(mean, std)
    if not crop and not flip:
        return lambda keys, images: preprocess(images)

    # A single gather does both: 0.35 ms for 128 images of 32x32 on two CPU cores. Dynamic slices with a select take
    # 0.46 ms, products with one-hot matrices 1.1 ms, and selecting among all shifts 20 ms.
    def crop_and_flip(key: jax.Array, image: jax.Array) -> jax.Array:
        place_key, flip_key = jax.random.split(key)
        top, left = jax.random.randint(place_key, (2,), 0, 2 * crop + 1)
        rows = top + jnp.arange(image.shape[0])
        columns = left + jnp.arange(image.shape[1])
        if flip:
            columns = jnp.where(jax.random.bernoulli(flip_key), columns[::-1], columns)
        padded = jnp.pad(image, ((crop, crop), (crop, crop), (0, 0)), mode)
        return padded[rows[:, None], columns]

    def augment(keys: jax.Array, images: jax.Array) -> jax.Array:
        return preprocess(jax.vmap(crop_and_flip)(keys, images))

    return augment
