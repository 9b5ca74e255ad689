"""Intervals of means, and paired statistics of two classifiers on the same images."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

_BATCH = 50  # resamples in memory at a time; fastest if they fit the cache


class Interval(NamedTuple):
    """A difference of accuracies with a confidence interval.

    Attributes:
      difference: Mean of `right - other`, in [-1, 1].
      low: Lower end of the interval, in [-1, 1].
      high: Upper end of the interval, in [-1, 1].
    """

    difference: float
    low: float
    high: float


class MeanInterval(NamedTuple):
    """A mean with a confidence interval.

    Attributes:
      mean: Of the values.
      low: Lower end of the interval.
      high: Upper end of the interval.
    """

    mean: float
    low: float
    high: float


def mean_interval(values: ArrayLike, *, level: float = 0.95) -> MeanInterval:
    """Compute a mean of independent values, such as those of seeds, with its interval by Student's t.

    `mean +- t_{(1 + level) / 2, n - 1} s / sqrt(n)`, where `s` is the standard deviation (divided by `n - 1`).

    Args:
      values: `[n]`, with `n` at least 1.
      level: Confidence level, in (0, 1).

    Returns:
      The mean and its interval: NaN for one value; both ends equal the mean if all values are equal.

    Raises:
      ValueError: If there are no values, or the level is out of range.

    Example:
      >>> mean, low, high = mean_interval([1.0, 2.0, 3.0])
      >>> mean, round(low, 2), round(high, 2)
      (2.0, -0.48, 4.48)

    References:
      Student, The Probable Error of a Mean, Biometrika 1908.
    """
    from scipy import stats  # slow: a second

    values = np.asarray(values, float)
    if values.ndim != 1 or not values.size:
        raise ValueError(f"values: got shape {values.shape}, expected [n] with n of at least 1")
    _check_level(level)
    mean = float(values.mean())
    if len(values) == 1:
        return MeanInterval(mean, float("nan"), float("nan"))
    error = values.std(ddof=1) / len(values) ** 0.5
    reach = float(stats.t.ppf((1 + level) / 2, len(values) - 1) * error)
    return MeanInterval(mean, mean - reach, mean + reach)


def mcnemar(right: ArrayLike, other: ArrayLike) -> float:
    """Compute the p-value of McNemar's exact two-sided test that two classifiers have equal error rates.

    Let `b` be the number of answers that are right in the first only, and `c` in the other only. Under the null
    hypothesis, `b ~ Binomial(b + c, 1/2)`.

    Args:
      right: `[..., N]`, bool: whether the first classifier is right.
      other: `[..., N]`, bool: whether the other classifier is right on the same images. All answers are pooled as if
        they were independent. Answers of several seeds on the same image are not, and make the p-value too small.

    Returns:
      The p-value, in (0, 1]; 1 if the classifiers never disagree.

    Raises:
      ValueError: If the arrays are not bool, have different shapes, or are empty.

    Example:
      >>> mcnemar([True, True, True, True, True], [False, False, False, False, True])  # 2 / 2 ** 4
      0.125

    References:
      McNemar, Psychometrika 1947; Dietterich, Neural Computation 1998.
    """
    from scipy import stats  # slow: a second

    right, other = _matching(right, other)
    only_right = int(np.sum(right & ~other))
    only_other = int(np.sum(other & ~right))
    if only_right + only_other == 0:
        return 1.0
    return float(stats.binomtest(only_right, only_right + only_other).pvalue)


def paired_bootstrap(
    right: ArrayLike, other: ArrayLike, *, resamples: int = 2000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Compute a difference of accuracies with its percentile bootstrap interval over images.

    Every image has one difference, `mean(right - other)` over the leading axes. Images are resampled with replacement,
    which preserves the correlation between seeds and levels on the same image. The interval is conditional on the
    networks: it measures variation over test images, not over training runs.

    Args:
      right: `[..., N]`, bool: whether the first classifier is right; leading axes (seeds, levels) share the N images.
      other: `[..., N]`, bool: whether the other classifier is right on the same images.
      resamples: Number of bootstrap resamples, at least 1.
      level: Confidence level, in (0, 1).
      seed: Seed of the resampling; comparisons with the same seed and N use the same resamples.

    Returns:
      The difference and its interval; if all images have the same difference, both ends equal it.

    Raises:
      ValueError: If the arrays are not bool, have different shapes, or are empty, or a number is out of range.

    Example:
      >>> difference, low, high = paired_bootstrap([True] * 30 + [False] * 70, [False] * 100)
      >>> difference, round(low, 2), round(high, 2)
      (0.3, 0.21, 0.39)

    References:
      Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    from scipy import stats  # slow: a second

    right, other = _matching(right, other)
    _check_resampling(resamples, level)
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


def crossed_bootstrap(
    right: ArrayLike, other: ArrayLike, *, resamples: int = 2000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Compute a difference of accuracies with its bootstrap interval over seeds and images together.

    Every seed and image has one difference, `mean(right - other)` over the axes between. Seeds and images are resampled
    independently of each other, both with replacement, and the mean is taken over all pairs. The interval covers
    variation between trainings and between test images. It is too wide with many seeds, and too narrow with few.

    Args:
      right: `[S, ..., N]`, bool: whether the first classifier is right; the first axis is the seed, the last the image.
      other: `[S, ..., N]`, bool: whether the other classifier, of the same seed, is right on the same images.
      resamples: Number of bootstrap resamples, at least 1.
      level: Confidence level, in (0, 1).
      seed: Seed of the resampling.

    Returns:
      The difference and its percentile interval.

    Raises:
      ValueError: If the arrays are not bool, have different shapes, have no axis of seeds or are empty, or a number is
        out of range.

    Example:
      >>> right = np.arange(100) % 10 < np.array([[7], [8], [9]])
      >>> difference, low, high = crossed_bootstrap(right, np.zeros((3, 100), bool))
      >>> round(difference, 2), low < difference < high
      (0.8, True)

    References:
      Owen, The Pigeonhole Bootstrap, Annals of Applied Statistics 2007.
    """
    right, other = _matching(right, other)
    _check_resampling(resamples, level)
    if right.ndim < 2:
        raise ValueError(f"right: got shape {right.shape}, expected an axis of seeds before that of images")
    between = tuple(range(1, right.ndim - 1))
    differences = np.mean(right.astype(float) - other, axis=between)
    seeds, images = differences.shape
    seed_counts, image_counts = _resampled_counts(seeds, images, resamples, seed)
    means = np.sum((seed_counts @ differences) * image_counts, axis=1) / (seeds * images)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(np.mean(differences)), float(low), float(high))


@lru_cache(maxsize=2)  # a report compares many pairs of networks on the same images
def _resampled_counts(seeds: int, images: int, resamples: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw how often every resample has every seed, `[resamples, seeds]`, and every image, `[resamples, images]`."""
    draw = np.random.default_rng(seed)
    seed_counts = draw.multinomial(seeds, np.full(seeds, 1 / seeds), resamples)
    image_counts = draw.multinomial(images, np.full(images, 1 / images), resamples)
    return seed_counts, image_counts.astype(np.int32)


def _check_resampling(resamples: int, level: float) -> None:
    if resamples < 1:
        raise ValueError(f"resamples: got {resamples}, expected at least 1")
    _check_level(level)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level: got {level}, expected a fraction in (0, 1)")


def _matching(right: ArrayLike, other: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    right = np.asarray(right)
    other = np.asarray(other)
    if right.shape != other.shape or not (right.ndim and right.size) or right.dtype != bool or other.dtype != bool:
        raise ValueError(
            f"right, other: got {right.dtype}{list(right.shape)} and {other.dtype}{list(other.shape)}, "
            "expected bool [..., N] twice"
        )
    return right, other
