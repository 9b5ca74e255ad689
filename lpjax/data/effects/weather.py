"""Weather: snow, fog and bright light."""

import numpy as np

from lpjax.data.effects.blur import along
from lpjax.data.effects.draws import Draws
from lpjax.data.effects.geometry import zoom_matrix

_LUMA = (0.299, 0.587, 0.114)
_SMALLEST_MAP = 32


def snow(
    images: np.ndarray,
    draws: Draws,
    mean: float,
    deviation: float,
    zoom: float,
    threshold: float,
    radius: float,
    sigma: float,
    kept: float,
) -> np.ndarray:
    """Whiten images and add flakes: a thresholded layer of normal noise, enlarged and motion-blurred downwards.

    The layer is added twice, once rotated by 180 degrees. It is rounded to 8 bits before and after the blur, as in
    images passed to ImageMagick.
    """
    count, height, width, channels = images.shape
    layer = next(draws).normal(mean, deviation, (count, height, width))
    layer = zoom_matrix(height, zoom) @ layer @ zoom_matrix(width, zoom).T
    layer = np.floor(np.clip(np.where(layer < threshold, 0, layer), 0, 1) * 255) / 255
    flakes = along(layer[..., None], next(draws).uniform(-135, -45, (count,)), radius, sigma)
    flakes = np.rint(flakes * 255) / 255
    gray = images @ np.asarray(_LUMA)[:, None] if channels == 3 else images
    whitened = kept * images + (1 - kept) * np.maximum(images, 1.5 * gray + 0.5)
    return whitened + flakes + flakes[:, ::-1, ::-1]


def fog(images: np.ndarray, draws: Draws, strength: float, decay: float) -> np.ndarray:
    """Add a cloud, and rescale to keep the maximum of the image."""
    count, height, width, _ = images.shape
    size = max(_SMALLEST_MAP, 1 << (max(height, width) - 1).bit_length())
    cloud = plasma(draws, count, size, decay)[:, :height, :width, None]
    brightest = images.max((1, 2, 3), keepdims=True)
    return (images + strength * cloud) * brightest / (brightest + strength)


def plasma(draws: Draws, count: int, size: int, decay: float) -> np.ndarray:
    """Draw clouds `[count, size, size]` in [0, 1] by the diamond-square algorithm on a torus; `size` is a power of 2.

    A new point is the mean of its four neighbors plus uniform noise in `[-w^2, w^2]`; `w` starts at 100 and is divided
    by `decay` whenever the grid spacing is halved.
    """
    maps = np.zeros((count, size, size))
    step = size
    wibble = 100.0
    while step > 1:
        half = step // 2
        old = maps[:, ::step, ::step]
        beside = np.roll(old, -1, axis=2)
        below = np.roll(old, -1, axis=1)
        new = maps[:, half::step, half::step]
        new[:] = (old + beside + below + np.roll(beside, -1, axis=1)) / 4 + _wibble(draws, old, wibble)
        across = (old + beside + new + np.roll(new, 1, axis=1)) / 4 + _wibble(draws, old, wibble)
        down = (old + below + new + np.roll(new, 1, axis=2)) / 4 + _wibble(draws, old, wibble)
        maps[:, ::step, half::step] = across
        maps[:, half::step, ::step] = down
        step = half
        wibble /= decay
    maps -= maps.min((1, 2), keepdims=True)
    return maps / maps.max((1, 2), keepdims=True)


def brightness(images: np.ndarray, draws: Draws, more: float) -> np.ndarray:
    """Increase the value of HSV, `V + more`, without changing hue and saturation."""
    del draws
    value = images.max(-1, keepdims=True)
    brighter = np.clip(value + more, 0, 1)
    return np.where(value > 0, images / np.where(value > 0, value, 1) * brighter, brighter)


def _wibble(draws: Draws, like: np.ndarray, wibble: float) -> np.ndarray:
    return next(draws).uniform(-(wibble**2), wibble**2, like.shape)
