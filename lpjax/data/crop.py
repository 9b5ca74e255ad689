"""Crops of images of different sizes to one size: random crops for training, center crops for evaluation."""

import math
from typing import NamedTuple

import numpy as np
from PIL import Image

_TRIES = 10


class Crop(NamedTuple):
    """How images are cropped to squares.

    Attributes:
      size: Side of the square in pixels.
      resize: Length of the shorter side in pixels before the center crop, at least `size`.
      area: Range of the area of random crops, as fractions of the image.
      ratio: Range of the aspect ratio (width / height) of random crops.
    """

    size: int
    resize: int
    area: tuple[float, float]
    ratio: tuple[float, float]


def draw_box(
    width: int, height: int, area: tuple[float, float], ratio: tuple[float, float], draw: np.random.Generator
) -> tuple[int, int, int, int]:
    """Draw the box of a random crop, `(left, top, right, bottom)`, as torchvision's RandomResizedCrop does.

    The fraction of the area is drawn uniformly, the aspect ratio log-uniformly, up to ten times. The first box that
    fits in the image is placed uniformly at random. If none fits, the box is the largest central one of an allowed
    aspect ratio (Szegedy et al., Going Deeper with Convolutions, CVPR 2015, section 6).

    Example:
      >>> draw_box(500, 375, (1.0, 1.0), (1.0, 1.0), np.random.default_rng(0))
      (62, 0, 437, 375)
    """
    low = math.log(ratio[0])
    high = math.log(ratio[1])
    for _ in range(_TRIES):
        pixels = width * height * draw.uniform(*area)
        shape = math.exp(draw.uniform(low, high))
        across = round(math.sqrt(pixels * shape))
        down = round(math.sqrt(pixels / shape))
        if 0 < across <= width and 0 < down <= height:
            top = int(draw.integers(height - down + 1))
            left = int(draw.integers(width - across + 1))
            return left, top, left + across, top + down
    across = min(width, round(height * ratio[1]))
    down = min(height, round(width / ratio[0]))
    left = (width - across) // 2
    top = (height - down) // 2
    return left, top, left + across, top + down


def random_crop(image: Image.Image, crop: Crop, draw: np.random.Generator) -> np.ndarray:
    """Crop a random box of an image and resize it to `[size, size, C]`, uint8, bilinearly with antialiasing."""
    box = draw_box(*image.size, crop.area, crop.ratio, draw)
    # Like torchvision, crop first: resize(box=...) would interpolate with pixels outside the box.
    return _pixels(image.crop(box).resize((crop.size, crop.size), Image.Resampling.BILINEAR))


def center_crop(image: Image.Image, crop: Crop) -> np.ndarray:
    """Resize an image and crop its center to `[size, size, C]`, uint8, with the rounding of torchvision."""
    shorter = min(image.size)
    width = int(crop.resize * image.width / shorter)
    height = int(crop.resize * image.height / shorter)
    left = round((width - crop.size) / 2)
    top = round((height - crop.size) / 2)
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    return _pixels(resized.crop((left, top, left + crop.size, top + crop.size)))


def _pixels(image: Image.Image) -> np.ndarray:
    pixels = np.asarray(image)
    return pixels.reshape(*pixels.shape[:2], -1)
