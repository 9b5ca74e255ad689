"""Two classifiers on the same images: how far apart, and how surely."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

_BATCH = 50  # resamples in memory at once: fastest where they fit the cache


class Interval(NamedTuple):
    """A difference of accuracies and how far other test images might move it.

    Attributes:
      difference: Mean of `right - other`, in [-1, 1].
      low: Lower end of the interval, in [-1, 1].
      high: Upper end of the interval, in [-1, 1].
    """

    difference: float
    low: float
    high: float


def mcnemar(right: ArrayLike, other: ArrayLike) -> float:
    """Tests whether two classifiers err equally often: McNemar's test, exact and two-sided.

    Of the answers on which they disagree, `b` are right by the first alone and `c` by the other alone; under the
    hypothesis `b ~ Binomial(b + c, 1/2)`.

    Args:
      right: `[..., N]`, bool: whether the first classifier is right.
      other: `[..., N]`, bool: whether the other is, on the same images. Leading axes are pooled as if all answers were
        independent; those of several seeds on one image are not, and the p-value is then too small.

    Returns:
      The p-value, in (0, 1]; 1 where they never disagree.

    Raises:
      ValueError: If the answers are not bool, or of different shapes, or none.

    Example:
      >>> mcnemar([True, True, True, True, True], [False, False, False, False, True])  # 2 / 2 ** 4
      0.125

    References:
      McNemar, Psychometrika 1947; Dietterich, Neural Computation 1998.
    """
    right, other = _matching(right, other)
    only_right, only_other = np.sum(right & ~other), np.sum(other & ~right)
    disagreements = int(only_right + only_other)
    return float(stats.binomtest(int(only_right), disagreements).pvalue) if disagreements else 1.0


def paired_bootstrap(
    right: ArrayLike, other: ArrayLike, *, resamples: int = 2000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Gives a difference of accuracies with its bootstrap interval over images (percentiles of the resampled means).

    Each image has one difference, `mean(right - other)` over the leading axes, and images are drawn with replacement:
    what the answers of several seeds and levels on one image share is kept. The interval is conditional on the networks
    at hand. It tells how far the difference would move with other test images, not with other trainings, for which the
    spread over seeds speaks.

    Args:
      right: `[..., N]`, bool: whether the first classifier is right; leading axes (seeds, levels) share the N images.
      other: `[..., N]`, bool: whether the other is, on the same images.
      resamples: Draws of N images, 1 or more.
      level: Share of the resampled means inside the interval, in (0, 1).
      seed: Draws the images; the same for two comparisons on the same N images pairs these too.

    Returns:
      The difference and its interval; without any variance both ends are the difference.

    Raises:
      ValueError: If the answers are not bool, or of different shapes, or none, or a number is out of range.

    Example:
      >>> difference, low, high = paired_bootstrap([True] * 30 + [False] * 70, [False] * 100)
      >>> difference, round(low, 2), round(high, 2)
      (0.3, 0.21, 0.39)

    References:
      Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    right, other = _matching(right, other)
    if resamples < 1 or not 0 < level < 1:
        raise ValueError(f"got {resamples} resamples and level {level}, wanted 1 or more and a share in (0, 1)")
    differences = np.mean(right.astype(float) - other, axis=tuple(range(right.ndim - 1)))
    difference = float(np.mean(differences))
    if np.ptp(differences) == 0:
        return Interval(difference, difference, difference)
    low, high = stats.bootstrap(
        (differences,),
        np.mean,
        n_resamples=resamples,
        confidence_level=level,
        method="percentile",
        batch=_BATCH,
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return Interval(difference, float(low), float(high))


def _matching(right: ArrayLike, other: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    right, other = np.asarray(right), np.asarray(other)
    if right.shape != other.shape or not (right.ndim and right.size) or right.dtype != bool or other.dtype != bool:
        raise ValueError(
            f"got answers {right.dtype}{list(right.shape)} and {other.dtype}{list(other.shape)}, "
            "wanted bool [..., N] twice, on the same images"
        )
    return right, other
