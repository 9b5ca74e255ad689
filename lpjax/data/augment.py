"""Augmentation and normalization, inside the jitted step."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from lpjax.choices import one_of
from lpjax.types import Augment, Preprocess

PADS = {"zero": "constant", "reflect": "reflect"}


def preprocessor(mean: Sequence[float], std: Sequence[float]) -> Preprocess:
    """Returns `(images / 255 - mean) / std`.

    Args:
      mean: Per channel, of pixels in [0, 1].
      std: Per channel, of pixels in [0, 1], above 0.

    Returns:
      A pure function from images `[B, H, W, C]`, uint8, to float32.

    Example:
      >>> preprocess = preprocessor((0.5,), (0.25,))
      >>> preprocess(jnp.array([[[[0]], [[255]]]], jnp.uint8)).ravel().tolist()
      [-2.0, 2.0]
    """
    center, scale = np.asarray(mean, np.float32), np.asarray(std, np.float32)

    def preprocess(images: jax.Array) -> jax.Array:
        return (images.astype(jnp.float32) / 255 - center) / scale

    return preprocess


def augmenter(
    mean: Sequence[float], std: Sequence[float], *, crop: int = 4, flip: bool = True, pad: str = "zero"
) -> Augment:
    """Returns random crops and mirror images, normalized.

    An image is padded with `crop` pixels on every side **before** it is normalized, cut back to its size at a
    uniformly drawn place, and mirrored with probability 1/2. What happens to an image depends on its key alone, so
    batches spread over devices get the numbers of one device.

    Args:
      mean: Per channel, of pixels in [0, 1].
      std: Per channel, of pixels in [0, 1], above 0.
      crop: Pixels of padding, 0 or more.
      flip: Whether to mirror at all.
      pad: `'zero'` pads with black pixels, `'reflect'` with the image's own, mirrored at its edge.

    Returns:
      A pure function from keys `[B]` and images `[B, H, W, C]`, uint8, to float32 images. With `crop=0, flip=False` it
      is `preprocessor(mean, std)` whatever the keys.

    Raises:
      ValueError: If `crop` is negative, or `pad` unknown.

    Example:
      >>> augment = augmenter((0.5,), (0.25,), crop=1, flip=False)
      >>> augment(jax.random.split(jax.random.key(0), 2), jnp.zeros((2, 8, 8, 1), jnp.uint8)).shape
      (2, 8, 8, 1)
    """
    if crop < 0:
        raise ValueError(f"crop is {crop}; give 0 or more pixels")
    mode = PADS[one_of("pad", pad, PADS)]
    preprocess = preprocessor(mean, std)
    if not crop and not flip:
        return lambda keys, images: preprocess(images)

    # One gather for crop and mirror: 0.35 ms for 128 images of 32x32 on two CPU cores, where dynamic slices and a
    # select take 0.46, products with one-hot matrices 1.1, and selecting among all shifts 20.
    def move(key: jax.Array, image: jax.Array) -> jax.Array:
        place_key, flip_key = jax.random.split(key)
        top, left = jax.random.randint(place_key, (2,), 0, 2 * crop + 1)
        rows = top + jnp.arange(image.shape[0])
        columns = left + jnp.arange(image.shape[1])
        if flip:
            columns = jnp.where(jax.random.bernoulli(flip_key), columns[::-1], columns)
        padded = jnp.pad(image, ((crop, crop), (crop, crop), (0, 0)), mode)
        return padded[rows[:, None], columns]

    def augment(keys: jax.Array, images: jax.Array) -> jax.Array:
        return preprocess(jax.vmap(move)(keys, images))

    return augment
