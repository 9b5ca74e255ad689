"""Blur: Gaussian, glass, defocus, motion and zoom."""

from math import ceil

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage

from lpjax.data.effects.draws import Draws
from lpjax.data.effects.geometry import zoom_matrix

_PLANE = (1, 2)


def smooth(images: np.ndarray, sigma: float) -> np.ndarray:
    """Blur images or layers `[N, H, W, ...]` by a Gaussian of `sigma` pixels; edges are extended."""
    return ndimage.gaussian_filter(images, sigma, mode="nearest", axes=_PLANE)


def gaussian_blur(images: np.ndarray, draws: Draws, sigma: float) -> np.ndarray:
    """Blur by a Gaussian of `sigma` pixels."""
    del draws
    return smooth(images, sigma)


def glass_blur(images: np.ndarray, draws: Draws, sigma: float, reach: int, passes: int) -> np.ndarray:
    """Blur, replace every inner pixel by a random neighbor `passes` times, and blur again.

    The published code intends to swap pixels in a backward loop. Its swap only copies, because both sides are views of
    one array, and its offsets are -1 or 0 along each axis. It copies only pixels that it has not visited yet, so a pass
    equals one gather from the image before the pass.
    """
    count, height, width, _ = images.shape
    blurred = np.floor(smooth(images, sigma) * 255) / 255
    rows = np.arange(height)[:, None]
    columns = np.arange(width)
    inner = (reach < rows) & (rows <= height - reach) & (reach < columns) & (columns <= width - reach)
    everyone = np.arange(count)[:, None, None]
    for _ in range(passes):
        steps = next(draws).integers(-reach, reach, (count, height, width, 2)) * inner[..., None]
        blurred = blurred[everyone, rows + steps[..., 0], columns + steps[..., 1]]
    return smooth(blurred, sigma)


def defocus_blur(images: np.ndarray, draws: Draws, radius: float, softness: float) -> np.ndarray:
    """Convolve with a disk of `radius` pixels, whose edge is softened by a 3x3 Gaussian."""
    del draws
    reach = int(radius) + 1
    line = np.arange(-reach, reach + 1)
    disk = (line**2 + line[:, None] ** 2 <= radius**2).astype(float)
    soft = np.exp(-(np.arange(-1, 2) ** 2) / (2 * softness**2))
    kernel = ndimage.convolve(disk, np.outer(soft, soft), mode="constant")
    return ndimage.correlate(images, (kernel / kernel.sum())[None, :, :, None], mode="mirror")


def motion_blur(images: np.ndarray, draws: Draws, radius: float, sigma: float) -> np.ndarray:
    """Blur along a direction between -45 and 45 degrees, and round to 8 bits as ImageMagick does."""
    degrees = next(draws).uniform(-45, 45, len(images))
    return np.rint(along(images, degrees, radius, sigma) * 255) / 255


def along(images: np.ndarray, degrees: np.ndarray, radius: float, sigma: float) -> np.ndarray:
    """Blur every image along its own direction, with a one-sided Gaussian sampled at pixels; edges are extended.

    Implemented from ImageMagick's description of `-motion-blur`.
    """
    taps = np.arange(2 * ceil(radius) + 1)
    weights = np.exp(-(taps**2) / (2 * sigma**2))
    radians = np.deg2rad(degrees)[:, None]
    down = np.ceil(taps * np.sin(radians) - 0.5).astype(int)
    right = np.ceil(taps * np.cos(radians) - 0.5).astype(int)
    far = len(taps)
    padded = np.pad(images.transpose(0, 3, 1, 2), ((0, 0), (0, 0), (far, far), (far, far)), mode="edge")
    windows = sliding_window_view(padded, images.shape[1:3], axis=(2, 3))
    everyone = np.arange(len(images))
    seen = (windows[everyone, :, far + down[:, tap], far + right[:, tap]] * weights[tap] for tap in taps)
    return (sum(seen) / weights.sum()).transpose(0, 2, 3, 1)


def zoom_blur(images: np.ndarray, draws: Draws, furthest: float) -> np.ndarray:
    """Average an image with its enlargements by 1, 1.01, ... below `furthest`."""
    del draws
    factors = np.arange(1, furthest, 0.01).tolist()
    planes = images.transpose(0, 3, 1, 2)
    height, width = planes.shape[2:]
    total = planes
    for factor in factors:
        total = total + zoom_matrix(height, factor) @ planes @ zoom_matrix(width, factor).T
    return total.transpose(0, 2, 3, 1) / (len(factors) + 1)
