"""Encoded images to pixels and back."""

import io

import numpy as np
from PIL import Image

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def decode_image(encoded: bytes, channels: int) -> np.ndarray:
    """Decodes an image of any format Pillow knows.

    Args:
      encoded: The bytes of its file.
      channels: 1 (grey), 3 (colour) or 4 (with opacity); the image is converted if it has others.

    Returns:
      `[H, W, channels]`, uint8.

    Example:
      >>> decode_image(encode_png(np.full((2, 3, 1), 7, np.uint8)), 1).shape
      (2, 3, 1)
    """
    with Image.open(io.BytesIO(encoded)) as image:
        pixels = np.asarray(image.convert(_MODES[channels]))
    return pixels.reshape(*pixels.shape[:2], channels)


def encode_png(pixels: np.ndarray) -> bytes:
    """Encodes an image without loss.

    Args:
      pixels: `[H, W, C]`, uint8, C in 1, 3, 4.

    Returns:
      The bytes of a PNG file.

    Example:
      >>> encode_png(np.zeros((1, 1, 3), np.uint8))[1:4]
      b'PNG'
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, "png")
    return buffer.getvalue()
