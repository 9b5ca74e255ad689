"""Corrupted images, made here: a seeded stand-in for the published ones."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from lpjax.choices import one_of
from lpjax.data.effects.draws import draws
from lpjax.data.effects.table import SEVERITIES, TABLE

_PIXELS = 1 << 16  # of the images that a thread corrupts at a time


def corrupt(images: np.ndarray, name: str, severity: int, *, seed: int = 0) -> np.ndarray:
    """Corrupts images as CIFAR-10-C does, with its parameters but with random numbers of our own.

    What an image becomes depends on `(name, severity, seed)` and on its index alone, never on other images or how many
    there are, on threads, or on what was drawn elsewhere. Work is done in float64, clipped to [0, 1] and truncated.

    Args:
      images: `[N, H, W, C]`, uint8, C 1 or 3; the published parameters are meant for 32x32. A gray image stays gray: it
        takes the mean of what its channels would become.
      name: A name of `BENCHMARK` or `EXTRA`, but not `'frost'`.
      severity: 1 (weak) to 5.
      seed: 0 or more.

    Returns:
      `[N, H, W, C]`, uint8.

    Raises:
      ValueError: If the images are of another kind, the name or severity is unknown, or frost is asked for, which needs
        pictures that are not part of this library.

    Example:
      >>> images = np.full((2, 8, 8, 3), 100, np.uint8)
      >>> corrupt(images, 'brightness', 5)[0, 0, 0].tolist()
      [176, 176, 176]

    References:
      Hendrycks and Dietterich, Benchmarking neural network robustness to common corruptions and perturbations, ICLR
      2019, section 4.1 and appendix; the released CIFAR-10-C.

    Departs from the authors' code:
      Random numbers are seeded, so single pixels differ wherever chance plays. Motion blur and snow follow
      ImageMagick's description without calling it; drops of water are shaded nearly as by OpenCV. A gray image stays
      gray. Accuracies on these images are not those on the published ones.
    """
    if images.ndim != 4 or images.dtype != np.uint8 or images.shape[-1] not in (1, 3) or 0 in images.shape[1:]:
        raise ValueError(f"images are {images.dtype} {list(images.shape)}; give uint8 [N, H, W, C] with C 1 or 3")
    if name == "frost":
        raise ValueError("frost needs third-party pictures and cannot be made here; give the published files instead")
    effect, parameters = TABLE[one_of("corruption", name, TABLE)]
    if severity not in SEVERITIES:
        raise ValueError(f"severity is {severity}; give 1 (weak) to 5")
    if seed < 0:
        raise ValueError(f"seed is {seed}; give 0 or more")
    corrupted = np.empty_like(images)
    size = max(1, _PIXELS // (images.shape[1] * images.shape[2]))

    def fill(first: int) -> None:
        chunk = slice(first, first + size)
        numbers = draws(seed, name, severity, first // size)
        values = np.clip(effect(images[chunk] / 255, numbers, *parameters[severity - 1]), 0, 1)
        if values.shape[-1] > images.shape[-1]:
            values = values.mean(-1, keepdims=True)
        corrupted[chunk] = values * 255

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for _ in threads.map(fill, range(0, len(images), size)):
            pass
    return corrupted
