"""Image corruptions after CIFAR-10-C, with seeded random numbers."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from lpjax.choices import one_of
from lpjax.data.effects.draws import draws
from lpjax.data.effects.table import SEVERITIES, TABLE
from lpjax.errors import UserError

_PIXELS = 1 << 16  # number of pixels that a thread corrupts at a time


def corrupt(images: np.ndarray, name: str, severity: int, *, seed: int = 0) -> np.ndarray:
    """Corrupt images with the effects and parameters of CIFAR-10-C, but other random numbers.

    The result for an image depends only on the image, its index and `(name, severity, seed)`, not on the number of
    images or threads. Effects compute in float64; results are clipped to [0, 1] and truncated.

    Args:
      images: `[N, H, W, C]`, uint8, C 1 or 3; the published parameters are for 32x32. A gray image stays gray: the
        channels of its result are averaged.
      name: A name of `BENCHMARK` or `EXTRA` except `'frost'`.
      severity: 1 (weak) to 5.
      seed: At least 0.

    Returns:
      `[N, H, W, C]`, uint8.

    Raises:
      ValueError: If the shape or dtype of the images, the name, the severity or the seed is invalid. `'frost'` needs
        third-party images that are not part of this library.

    Example:
      >>> images = np.full((2, 8, 8, 3), 100, np.uint8)
      >>> corrupt(images, 'brightness', 5)[0, 0, 0].tolist()
      [176, 176, 176]

    References:
      Hendrycks and Dietterich, Benchmarking neural network robustness to common corruptions and perturbations, ICLR
      2019, section 4.1 and appendix; the released CIFAR-10-C.

    Departs from the authors' code:
      Random numbers differ, so pixels of random effects differ. Motion blur and snow are implemented from
      ImageMagick's description, and water drops are shaded nearly as by OpenCV. A gray image stays gray. Accuracies on
      these images cannot be compared with accuracies on the published ones.
    """
    if images.ndim != 4 or images.dtype != np.uint8 or images.shape[-1] not in (1, 3) or 0 in images.shape[1:]:
        raise ValueError(f"images: got {images.dtype} {list(images.shape)}, expected uint8 [N, H, W, C] with C 1 or 3")
    if name == "frost":
        raise UserError(
            "corruption: 'frost' needs third-party images and cannot be made; use the published files instead"
        )
    effect, parameters = TABLE[one_of("corruption", name, TABLE)]
    if severity not in SEVERITIES:
        raise ValueError(f"severity: got {severity}, expected 1 (weak) to 5")
    if seed < 0:
        raise ValueError(f"seed: got {seed}, expected at least 0")
    corrupted = np.empty_like(images)
    size = max(1, _PIXELS // (images.shape[1] * images.shape[2]))

    def corrupt_chunk(first: int) -> None:
        chunk = slice(first, first + size)
        numbers = draws(seed, name, severity, first // size)
        values = np.clip(effect(images[chunk] / 255, numbers, *parameters[severity - 1]), 0, 1)
        if values.shape[-1] > images.shape[-1]:
            values = values.mean(-1, keepdims=True)
        corrupted[chunk] = values * 255

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for _ in threads.map(corrupt_chunk, range(0, len(images), size)):
            pass
    return corrupted
