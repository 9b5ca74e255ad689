"""Decoding and encoding of images."""

import io

import numpy as np
from PIL import Image

_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def open_image(encoded: bytes, channels: int) -> Image.Image:
    """Decode an image of any format and mode that Pillow supports, and convert it to 1, 3 or 4 channels.

    Example:
      >>> open_image(encode_png(np.full((2, 3, 1), 7, np.uint8)), 3).getpixel((0, 0))
      (7, 7, 7)
    """
    with Image.open(io.BytesIO(encoded)) as image:
        return convert(image, _MODES[channels])


def convert(image: Image.Image, mode: str) -> Image.Image:
    """Convert an image as Pillow does, without its warning that the opacity of a palette is left out."""
    if mode != "RGBA":
        image.info.pop("transparency", None)
    return image.convert(mode)


def decode_image(encoded: bytes, channels: int) -> np.ndarray:
    """Decode an image to an array `[H, W, channels]`, uint8; see `open_image`."""
    pixels = np.asarray(open_image(encoded, channels))
    return pixels.reshape(*pixels.shape[:2], channels)


def encode_png(pixels: np.ndarray) -> bytes:
    """Encode an image losslessly as PNG.

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
