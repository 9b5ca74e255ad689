"""Sensor and transmission noise, independent per channel and pixel."""

import numpy as np

from lpjax.data.effects.draws import Draws


def gaussian_noise(images: np.ndarray, draws: Draws, sigma: float) -> np.ndarray:
    """Add `sigma N(0, 1)`, as under low light."""
    return images + next(draws).normal(0, sigma, images.shape)


def shot_noise(images: np.ndarray, draws: Draws, photons: float) -> np.ndarray:
    """Sample `Poisson(x photons) / photons`, the noise of counting photons."""
    # Sampling rejects a varying count of random numbers, so every image has a generator of its own.
    generators = next(draws).spawn(len(images))
    counts = [generator.poisson(image) for generator, image in zip(generators, images * photons, strict=True)]
    return np.stack(counts) / photons


def impulse_noise(images: np.ndarray, draws: Draws, fraction: float) -> np.ndarray:
    """Replace a fraction of the values, half of them by 0 and half by 1 (salt and pepper)."""
    chance = next(draws).random(images.shape)
    return np.where(chance < fraction, chance < fraction / 2, images)


def speckle_noise(images: np.ndarray, draws: Draws, sigma: float) -> np.ndarray:
    """Add `sigma x N(0, 1)`, noise proportional to brightness."""
    return images + images * next(draws).normal(0, sigma, images.shape)
