"""Decoding and encoding of images."""

import io

import numpy as np
from PIL import Image

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def open_image(encoded: bytes, channels: int) -> Image.Image:
    """Decodes an image of any format and mode that Pillow supports.

    Args:
      encoded: The content of an image file.
      channels: 1 (gray), 3 (color) or 4 (color and alpha); the image is converted.

    Returns:
      The image, of mode `'L'`, `'RGB'` or `'RGBA'`.

    Example:
      >>> open_image(encode_png(np.full((2, 3, 1), 7, np.uint8)), 3).getpixel((0, 0))
      (7, 7, 7)
    """
    with Image.open(io.BytesIO(encoded)) as image:
        return image.convert(_MODES[channels])


def decode_image(encoded: bytes, channels: int) -> np.ndarray:
    """Decodes an image to an array.

    Args:
      encoded: The content of an image file.
      channels: 1 (gray), 3 (color) or 4 (color and alpha); the image is converted.

    Returns:
      `[H, W, channels]`, uint8.

    Example:
      >>> decode_image(encode_png(np.full((2, 3, 1), 7, np.uint8)), 1).shape
      (2, 3, 1)
    """
    pixels = np.asarray(open_image(encoded, channels))
    return pixels.reshape(*pixels.shape[:2], channels)


def encode_png(pixels: np.ndarray) -> bytes:
    """Encodes an image losslessly as PNG.

    Args:
      pixels: `[H, W, C]`, uint8, C in 1, 3, 4.

    Returns:
      The content of a PNG file.

    Example:
      >>> encode_png(np.zeros((1, 1, 3), np.uint8))[1:4]
      b'PNG'
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(buffer, "png")
    return buffer.getvalue()
