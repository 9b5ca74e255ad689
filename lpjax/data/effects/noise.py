"""Noise of sensors and of transmission; each channel of each pixel is drawn alone."""

import numpy as np

from lpjax.data.effects.draws import Draws


def gaussian_noise(images: np.ndarray, draws: Draws, sigma: float) -> np.ndarray:
    """Adds `sigma N(0, 1)`: little light."""
    return images + next(draws).normal(0, sigma, images.shape)


def shot_noise(images: np.ndarray, draws: Draws, photons: float) -> np.ndarray:
    """Counts photons, `Poisson(x photons) / photons`: light comes in quanta."""
    # Numbers are drawn until one fits, so that a generator for all would be at odds once one image differs.
    alone = next(draws).spawn(len(images))
    return np.stack([one.poisson(image) for one, image in zip(alone, images * photons, strict=True)]) / photons


def impulse_noise(images: np.ndarray, draws: Draws, share: float) -> np.ndarray:
    """Replaces a share of the values, half of them by 0 and half by 1: salt and pepper, bits gone wrong."""
    chance = next(draws).random(images.shape)
    return np.where(chance < share, chance < share / 2, images)


def speckle_noise(images: np.ndarray, draws: Draws, sigma: float) -> np.ndarray:
    """Adds `sigma x N(0, 1)`: the brighter, the noisier."""
    return images + images * next(draws).normal(0, sigma, images.shape)
