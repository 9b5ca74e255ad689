"""Geometric transforms: zoom, and interpolation at any positions."""

from collections.abc import Callable
from functools import lru_cache
from math import ceil

import numpy as np
from scipy import ndimage


@lru_cache(maxsize=256)
def zoom_matrix(size: int, factor: float) -> np.ndarray:
    """Return the matrix `[size, size]` that enlarges a line about its center and crops it to its size.

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
    """Reflect indices into an image without repeating its edge: `c b | a b c | b a`."""
    period = max(2 * size - 2, 1)
    folded = index % period
    return np.minimum(folded, period - folded)


def reflect(index: np.ndarray, size: int) -> np.ndarray:
    """Reflect indices into an image, repeating its edge: `b a | a b c | c b`."""
    folded = index % (2 * size)
    return np.minimum(folded, 2 * size - 1 - folded)


def sample(
    images: np.ndarray, rows: np.ndarray, columns: np.ndarray, fold: Callable[[np.ndarray, int], np.ndarray]
) -> np.ndarray:
    """Interpolate every image linearly at its own positions `[N, H, W]`, in pixels."""
    count, height, width, channels = images.shape
    pixels = images.reshape(-1, channels)
    first = (np.arange(count) * height * width)[:, None, None]
    top = np.floor(rows)
    left = np.floor(columns)
    down = (rows - top)[..., None]
    right = (columns - left)[..., None]
    left_place = fold(left.astype(np.int64), width)
    right_place = fold(left.astype(np.int64) + 1, width)

    def between(step: int) -> np.ndarray:
        line = fold(top.astype(np.int64) + step, height) * width + first
        one = pixels.take(line + left_place, axis=0)
        other = pixels.take(line + right_place, axis=0)
        return one + right * (other - one)

    upper = between(0)
    return upper + down * (between(1) - upper)
