"""Digital effects: contrast, saturation, elastic deformation, pixelation and compression."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy import ndimage

from lpjax.data.effects.draws import Draws
from lpjax.data.effects.geometry import mirror, reflect, sample

_PUBLISHED_SIDE = 32


def contrast(images: np.ndarray, draws: Draws, factor: float) -> np.ndarray:
    """Reduce contrast towards the mean of image and channel, `(x - mean) factor + mean`."""
    del draws
    mean = images.mean((1, 2), keepdims=True)
    return (images - mean) * factor + mean


def saturate(images: np.ndarray, draws: Draws, factor: float, more: float) -> np.ndarray:
    """Change the saturation of HSV, `S factor + more`; gray pixels, whose hue is that of red, may become red."""
    del draws
    value = images.max(-1, keepdims=True)
    spread = value - images.min(-1, keepdims=True)
    colored = spread > 0
    saturation = spread / np.where(value > 0, value, 1)
    hue = np.where(colored, (value - images) / np.where(colored, spread, 1), (0.0, 1.0, 1.0))
    return value * (1 - hue * np.clip(saturation * factor + more, 0, 1))


def elastic_transform(images: np.ndarray, draws: Draws, reach: float, sigma: float, jitter: float) -> np.ndarray:
    """Apply a random affine map, then random displacements of every pixel.

    The affine map moves three points by up to `jitter` pixels along each axis. Displacements are uniform in [-1, 1],
    smoothed by a Gaussian of `sigma` pixels and multiplied by `reach`. The parameters are in pixels of a 32x32 image
    and scale with the shorter side. Interpolation is linear.
    """
    count, height, width, _ = images.shape
    scale = min(height, width) / _PUBLISHED_SIDE
    rows = np.arange(height)[:, None]
    columns = np.arange(width)

    middle = np.array([height // 2, width // 2])
    third = max(min(height, width) // 3, 1)
    anchors = middle + third * np.array([[1, 1], [1, -1], [-1, -1]])
    moved = anchors + next(draws).uniform(-jitter * scale, jitter * scale, (count, 3, 2))
    back = np.linalg.solve(np.concatenate([moved, np.ones((count, 3, 1))], -1), np.broadcast_to(anchors, moved.shape))
    down, right, shift = (back[:, i, :, None, None] for i in range(3))
    places = down * rows + right * columns + shift
    tilted = sample(images, places[:, 0], places[:, 1], mirror)

    steps = next(draws).uniform(-1, 1, (count, 2, height, width))
    steps = ndimage.gaussian_filter(steps, sigma * scale, mode="reflect", truncate=3, axes=(2, 3)) * (reach * scale)
    return sample(tilted, rows + steps[:, 0], columns + steps[:, 1], reflect)


def pixelate(images: np.ndarray, draws: Draws, factor: float) -> np.ndarray:
    """Downsample to `int(size factor)` pixels by averaging, and upsample to the original size."""
    del draws
    height, width = images.shape[1:3]
    small = max(int(width * factor), 1), max(int(height * factor), 1)

    def shrink(image: Image.Image) -> Image.Image:
        return image.resize(small, Image.Resampling.BOX).resize((width, height), Image.Resampling.BOX)

    return _by_pillow(images, shrink)


def jpeg_compression(images: np.ndarray, draws: Draws, quality: int) -> np.ndarray:
    """Encode as JPEG with a quality between 1 and 95, and decode."""
    del draws

    def compress(image: Image.Image) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        return Image.open(buffer)

    return _by_pillow(images, compress)


def _by_pillow(images: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    values = (images * 255).astype(np.uint8)
    changed = np.empty_like(values)
    for image, out in zip(values.squeeze(-1) if values.shape[-1] == 1 else values, changed, strict=True):
        out[:] = np.asarray(change(Image.fromarray(image))).reshape(out.shape)
    return changed / 255
