"""Spatter: drops of water or mud on the lens."""

import numpy as np
from scipy import ndimage

from lpjax.data.effects.blur import smooth
from lpjax.data.effects.draws import Draws

_TURQUOISE = np.array([175, 238, 238]) / 255
_BROWN = np.array([63, 42, 20]) / 255
_MUD = 1
_EDGE = (50, 150)  # thresholds of weak and strong edges in Canny's algorithm
_TURN = np.tan(np.pi / 8)  # tangent of half the angle between directions
_FARTHEST = 20
_EMBOSS = np.array([[[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]])
_SOBEL = np.array([[[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]])
_NEIGHBORS = np.ones((1, 3, 3), bool)


def spatter(
    images: np.ndarray,
    draws: Draws,
    mean: float,
    deviation: float,
    sigma: float,
    threshold: float,
    strength: float,
    liquid: int,
) -> np.ndarray:
    """Add drops where a smoothed layer of normal noise exceeds a threshold.

    Water adds pale turquoise, shaded by the distance from the edges of drops; mud covers the image with brown.

    Edges and shading follow OpenCV's functions, except that distances are exact; OpenCV's are accurate to 0.15 pixels.
    """
    layer = smooth(next(draws).normal(mean, deviation, images.shape[:3]), sigma)
    if liquid == _MUD:
        cover = smooth((layer > threshold).astype(float), strength)[..., None]
        cover = np.where(cover < 0.8, 0, cover)
        return images * (1 - cover) + cover * _BROWN
    drops = np.floor(np.clip(np.where(layer < threshold, 0, layer), 0, 1) * 255)
    shine = drops * _shading(drops)
    most = shine.max((1, 2), keepdims=True)
    return images + strength * (shine / np.maximum(most, 1))[..., None] * _TURQUOISE


def _shading(drops: np.ndarray) -> np.ndarray:
    edge_first = np.concatenate([np.ones_like(drops[:1], bool), edges(drops)])  # guarantees that an edge exists
    distance = ndimage.distance_transform_edt(~edge_first, sampling=(2 * _FARTHEST, 1, 1))[1:]
    near = np.floor(_box(np.minimum(distance, _FARTHEST)))
    embossed = ndimage.correlate(_equalize(near), _EMBOSS, mode="mirror")
    return np.rint(_box(np.clip(embossed, 0, 255)))


def edges(drops: np.ndarray) -> np.ndarray:
    """Find the edges of layers `[N, H, W]` with values up to 255, by Canny's algorithm.

    Edges are ridges of the gradient: strong ones, and weak ones connected to strong ones.
    """
    across = ndimage.correlate(drops, _SOBEL, mode="nearest")
    down = ndimage.correlate(drops, _SOBEL.transpose(0, 2, 1), mode="nearest")
    steep = abs(across) + abs(down)
    around = np.pad(steep, ((0, 0), (1, 1), (1, 1)))
    height, width = drops.shape[1:]

    def beside(row: int, column: int) -> np.ndarray:
        return around[:, 1 + row : 1 + row + height, 1 + column : 1 + column + width]

    kinds = [abs(down) < _TURN * abs(across), abs(across) <= _TURN * abs(down), across * down >= 0]

    def along_gradient(side: int) -> np.ndarray:
        return np.select(kinds, [beside(0, side), beside(side, 0), beside(side, side)], beside(side, -side))

    before = along_gradient(-1)
    after = along_gradient(1)
    ridge = (steep > before) & np.where(kinds[0] | kinds[1], steep >= after, steep > after)  # ties as in OpenCV
    weak, strong = _EDGE
    return ndimage.binary_propagation(ridge & (steep > strong), _NEIGHBORS, ridge & (steep > weak))


def _box(layers: np.ndarray) -> np.ndarray:
    return ndimage.correlate(layers, np.ones((1, 3, 3)), mode="mirror") / 9


def _equalize(layers: np.ndarray) -> np.ndarray:
    """Equalize the histogram of every layer: integers 0.._FARTHEST to 0..255."""
    values = np.arange(_FARTHEST + 1)
    upto = np.stack([(layers <= value).sum((1, 2)) for value in values], axis=1)
    size = layers[0].size
    lowest = np.take_along_axis(upto, layers.min((1, 2))[:, None].astype(int), axis=1)
    table = np.rint(255 * np.maximum(upto - lowest, 0) / np.maximum(size - lowest, 1))
    return table[np.arange(len(layers))[:, None, None], layers.astype(int)]
