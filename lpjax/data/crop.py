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
    """Draws the box of a random crop.

    The fraction of the area is drawn uniformly, the aspect ratio log-uniformly, up to ten times. The first box that
    fits in the image is placed uniformly at random. If none fits, the box is the largest central one of an allowed
    aspect ratio.

    Args:
      width: Width of the image in pixels.
      height: Height of the image in pixels.
      area: Range of the area, as fractions of the image.
      ratio: Range of the aspect ratio, width / height.
      draw: Random number generator.

    Returns:
      `(left, top, right, bottom)`, inside the image.

    Example:
      >>> draw_box(500, 375, (1.0, 1.0), (1.0, 1.0), np.random.default_rng(0))
      (62, 0, 437, 375)

    References:
      Szegedy et al., Going Deeper with Convolutions, CVPR 2015, section 6; as torchvision's RandomResizedCrop.
    """
    low, high = (math.log(bound) for bound in ratio)
    for _ in range(_TRIES):
        pixels = width * height * draw.uniform(*area)
        shape = math.exp(draw.uniform(low, high))
        across, down = round(math.sqrt(pixels * shape)), round(math.sqrt(pixels / shape))
        if 0 < across <= width and 0 < down <= height:
            top, left = int(draw.integers(height - down + 1)), int(draw.integers(width - across + 1))
            return left, top, left + across, top + down
    across, down = width, height
    if width / height < ratio[0]:
        down = round(width / ratio[0])
    elif width / height > ratio[1]:
        across = round(height * ratio[1])
    left, top = (width - across) // 2, (height - down) // 2
    return left, top, left + across, top + down


def random_crop(image: Image.Image, crop: Crop, draw: np.random.Generator) -> np.ndarray:
    """Crops a random box of an image and resizes it to a square, bilinearly with antialiasing.

    Args:
      image: An image of any size, of mode `'L'` or `'RGB'`.
      crop: Size of the result and ranges of the box.
      draw: Random number generator.

    Returns:
      `[size, size, C]`, uint8.

    Example:
      >>> crop = Crop(8, 8, (0.1, 1.0), (0.8, 1.25))
      >>> random_crop(Image.new('RGB', (20, 10)), crop, np.random.default_rng(0)).shape
      (8, 8, 3)
    """
    box = draw_box(*image.size, crop.area, crop.ratio, draw)
    # Like torchvision, crop first: resize(box=...) would interpolate with pixels outside the box.
    return _pixels(image.crop(box).resize((crop.size, crop.size), Image.Resampling.BILINEAR))


def center_crop(image: Image.Image, crop: Crop) -> np.ndarray:
    """Resizes an image, bilinearly with antialiasing, and crops its center.

    Args:
      image: An image of any size, of mode `'L'` or `'RGB'`.
      crop: Sizes of the resized image and of the result.

    Returns:
      `[size, size, C]`, uint8.

    Example:
      >>> center_crop(Image.new('L', (20, 10)), Crop(8, 9, (0.1, 1.0), (0.8, 1.25))).shape
      (8, 8, 1)

    References:
      torchvision's Resize and CenterCrop, with the same rounding.
    """
    shorter = min(image.size)
    width, height = (int(crop.resize * side / shorter) for side in image.size)
    left, top = round((width - crop.size) / 2), round((height - crop.size) / 2)
    resized = image.resize((width, height), Image.Resampling.BILINEAR)
    return _pixels(resized.crop((left, top, left + crop.size, top + crop.size)))


def _pixels(image: Image.Image) -> np.ndarray:
    pixels = np.asarray(image)
    return pixels.reshape(*pixels.shape[:2], -1)
