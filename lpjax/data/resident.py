"""Data sets that fit in memory."""

from typing import NamedTuple

import numpy as np

from lpjax.data.directory import DataError
from lpjax.data.sources import open_source
from lpjax.types import Batch

PUBLISHED = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4866, 0.4409), (0.2673, 0.2564, 0.2762)),
    "imagenet2012": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""Mean and standard deviation of each channel, of pixels in [0, 1]: of CIFAR as the originals' networks have them built
in, of ImageNet as everybody, OpenLTH too, normalizes its images."""


class Dataset(NamedTuple):
    """Labeled images in memory, in three splits.

    Attributes:
      name: Of the data set.
      train: What to train on; numpy arrays, images `[N, H, W, C]` uint8, labels `[N]` int32.
      validation: What was held out of the training split; selects.
      test: What reports.
      classes: Number of classes.
      mean: Per channel, of pixels in [0, 1].
      std: Per channel, of pixels in [0, 1].
    """

    name: str
    train: Batch
    validation: Batch
    test: Batch
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


def load(name: str, *, data_dir: str = "", validation: int = 5000, train_images: int = 0) -> Dataset:
    """Loads a data set; an official archive is downloaded and prepared on first use.

    The hold-out is the end of the training split in stored order, whatever the seed and `train_images`; smaller
    training subsets are beginnings of larger ones. Only images asked for are decoded.

    Args:
      name: `'digits'`, `'cifar10'`, `'cifar100'`, or an image-classification set prepared in `data_dir`.
      data_dir: Where TFDS directories lie; empty for TFDS's own default.
      validation: Images held out.
      train_images: The first so many of the others; 0 for all.

    Returns:
      The three splits. Mean and standard deviation are the published ones for CIFAR and ImageNet, otherwise those of
      `train`.

    Raises:
      ValueError: If the name is unknown, the data are missing, or they hold fewer images than asked for.

    Example:
      >>> digits = load('digits', validation=200)
      >>> digits.train.images.shape, len(digits.validation.labels), len(digits.test.labels)
      ((800, 8, 8, 1), 200, 797)

    References:
      The originals' CIFAR hold-out and normalization: the last 5,000 training images of the official archive;
      Yin et al., Lottery Pools, AAAI 2023.
    """
    source = open_source(name, data_dir)
    kept, held_out = divide(name, source.train.size, validation, train_images)
    train = source.train.read(kept.start, kept.stop)
    test = source.test.read(0, source.test.size)
    if train.images.shape[1:] != test.images.shape[1:]:
        raise DataError(f"{name} trains on images {train.images.shape[1:]}, tests on {test.images.shape[1:]}")
    mean, std = PUBLISHED.get(name.partition(":")[0]) or channel_statistics(np.asarray(train.images))
    validated = source.train.read(held_out.start, held_out.stop)
    return Dataset(name, train, validated, test, source.classes, mean, std)


def divide(name: str, everything: int, validation: int, train_images: int) -> tuple[range, range]:
    """Divides a training split.

    Args:
      name: Of the data set.
      everything: Images of the split.
      validation: Images held out, at its end.
      train_images: The first so many of the others; 0 for all.

    Returns:
      Rows to train on, rows held out.

    Raises:
      ValueError: If there are not so many.

    Example:
      >>> divide('digits', 1000, 200, 100)
      (range(0, 100), range(800, 1000))
    """
    rest = everything - validation
    if validation < 0 or rest < 1:
        raise ValueError(f"validation is {validation} of the {everything} images of {name}; give 0 to {everything - 1}")
    if not 0 <= train_images <= rest:
        raise ValueError(
            f"train_images is {train_images} where {name} has {rest} besides the hold-out; give 0 to {rest}"
        )
    return range(train_images or rest), range(rest, everything)


def channel_statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Measures the channels of images, by counting values: exact sums, without a copy of all pixels as floats.

    Args:
      images: `[N, H, W, C]`, uint8.

    Returns:
      Mean and standard deviation of each channel, of pixels in [0, 1]; of a constant one, 1, to stay finite.

    Example:
      >>> channel_statistics(np.array([[[[0], [255]]]], np.uint8))
      ((0.5,), (0.5,))
    """
    values = np.arange(256) / 255
    mean, std = [], []
    for channel in np.moveaxis(images, -1, 0):
        share = np.bincount(channel.ravel(), minlength=256) / channel.size
        mean.append(float(share @ values))
        std.append(float(np.sqrt(share @ (values - mean[-1]) ** 2)) or 1.0)
    return tuple(mean), tuple(std)
