"""Geometric transforms: zoom, and interpolation at any positions."""

from collections.abc import Callable
from functools import lru_cache
from math import ceil

import numpy as np
from scipy import ndimage


@lru_cache(maxsize=256)
def zoom_matrix(size: int, factor: float) -> np.ndarray:
    """Returns the matrix `[size, size]` that enlarges a line about its center and crops it to its size.

    Linear interpolation is separable, so a zoomed image is `A x B^T`. The columns are scipy's zooms of unit vectors.
    """
    inside = ceil(size / factor)
    start = (size - inside) // 2
    enlarged = ndimage.zoom(np.eye(inside), (factor, 1), order=1)
    over = (len(enlarged) - size) // 2
    matrix = np.zeros((size, size))
    matrix[:, start : start + inside] = enlarged[over : over + size]
    return matrix


def mirror(index: np.ndarray, size: int) -> np.ndarray:
    """Reflects indices into an image without repeating its edge: `c b | a b c | b a`."""
    period = max(2 * size - 2, 1)
    folded = index % period
    return np.minimum(folded, period - folded)


def reflect(index: np.ndarray, size: int) -> np.ndarray:
    """Reflects indices into an image, repeating its edge: `b a | a b c | c b`."""
    folded = index % (2 * size)
    return np.minimum(folded, 2 * size - 1 - folded)


def sample(
    images: np.ndarray, rows: np.ndarray, columns: np.ndarray, fold: Callable[[np.ndarray, int], np.ndarray]
) -> np.ndarray:
    """Interpolates every image linearly at its own positions `[N, H, W]`, in pixels."""
    count, height, width, channels = images.shape
    pixels = images.reshape(-1, channels)
    first = (np.arange(count) * height * width)[:, None, None]
    top, left = np.floor(rows), np.floor(columns)
    down, right = (rows - top)[..., None], (columns - left)[..., None]
    lines = [fold(top.astype(np.int64) + step, height) * width + first for step in (0, 1)]
    places = [fold(left.astype(np.int64) + step, width) for step in (0, 1)]

    def between(line: np.ndarray) -> np.ndarray:
        one, other = (pixels.take(line + place, axis=0) for place in places)
        return one + right * (other - one)

    upper, lower = map(between, lines)
    return upper + down * (lower - upper)
