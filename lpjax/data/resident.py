"""Data sets in memory."""

from typing import NamedTuple

import numpy as np

from lpjax.data.directory import DataError
from lpjax.data.sources import open_source
from lpjax.errors import UserError
from lpjax.types import Batch

PUBLISHED = {
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4866, 0.4409), (0.2673, 0.2564, 0.2762)),
    "imagenet2012": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}
"""Mean and standard deviation of every channel, for pixels in [0, 1]: for CIFAR those of the papers' code, for ImageNet
those of torchvision and OpenLTH."""


class Dataset(NamedTuple):
    """Labeled images in memory, in three splits.

    Attributes:
      name: Name of the data set.
      train: Training images `[N, H, W, C]` uint8 and labels `[N]` int32, numpy arrays.
      validation: Images held out of the training split, for selection.
      test: Images for reporting.
      classes: Number of classes.
      mean: Mean of every channel, for pixels in [0, 1].
      std: Standard deviation of every channel, for pixels in [0, 1].
    """

    name: str
    train: Batch
    validation: Batch
    test: Batch
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]


def load(name: str, *, data_dir: str = "", validation: int = 5000, train_images: int = 0) -> Dataset:
    """Load a data set; an official archive is downloaded and prepared on first use.

    The validation images are the last ones of the training split in stored order, independent of `train_images`. The
    training images are the first ones. Only these images are decoded.

    Args:
      name: `'digits'`, a name of `ARCHIVES`, or an image-classification set prepared in `data_dir`: `'set'`,
        `'set/config'` or `'set:version'`.
      data_dir: The folder of TFDS directories; empty for the default of TFDS.
      validation: Number of images held out.
      train_images: Number of training images; 0 for all that are not held out.

    Returns:
      The three splits. Mean and standard deviation are `PUBLISHED` for CIFAR and ImageNet, and computed from `train`
      for other data sets.

    Raises:
      UserError: If the name is unknown, the data are missing, or there are too few images.

    Example:
      >>> digits = load('digits', validation=200)
      >>> digits.train.images.shape, len(digits.validation.labels), len(digits.test.labels)
      ((800, 8, 8, 1), 200, 797)

    References:
      The originals' CIFAR hold-out and normalization: the last 5,000 training images of the official archive;
      Yin et al., Lottery Pools, AAAI 2023.
    """
    stored, test_split = open_source(name, data_dir)
    kept, held_out = divide(name, stored.size, validation, train_images)
    train = stored.read(kept.start, kept.stop)
    test = test_split.read(0, test_split.size)
    if train.images.shape[1:] != test.images.shape[1:]:
        raise DataError(
            f"{name}: train has images of shape {train.images.shape[1:]}, test of shape {test.images.shape[1:]}"
        )
    mean, std = PUBLISHED.get(name.partition(":")[0]) or channel_statistics(np.asarray(train.images))
    return Dataset(name, train, stored.read(held_out.start, held_out.stop), test, stored.classes, mean, std)


def divide(name: str, size: int, validation: int, train_images: int) -> tuple[range, range]:
    """Divide a training split into images to train on and images to hold out.

    Args:
      name: Name of the data set, for error messages.
      size: Number of images of the split.
      validation: Number of images held out, the last ones.
      train_images: Number of training images, the first ones; 0 for all that are not held out.

    Returns:
      Rows to train on, and rows held out.

    Raises:
      UserError: If `validation` or `train_images` is out of range.

    Example:
      >>> divide('digits', 1000, 200, 100)
      (range(0, 100), range(800, 1000))
    """
    rest = size - validation
    if validation < 0 or rest < 1:
        raise UserError(f"validation: got {validation}, expected 0 to {size - 1}, as {name} has {size} images")
    if not 0 <= train_images <= rest:
        raise UserError(
            f"train_images: got {train_images}, expected 0 to {rest}, as {name} has {rest} besides those held out"
        )
    return range(train_images or rest), range(rest, size)


def channel_statistics(images: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Compute mean and standard deviation of every channel from histograms, without a float copy of the images.

    Args:
      images: `[N, H, W, C]`, uint8.

    Returns:
      Mean and standard deviation of every channel, for pixels in [0, 1]. The standard deviation of a constant channel
      is set to 1.

    Example:
      >>> channel_statistics(np.array([[[[0], [255]]]], np.uint8))
      ((0.5,), (0.5,))
    """
    values = np.arange(256) / 255
    mean = []
    std = []
    for channel in np.moveaxis(images, -1, 0):
        frequencies = np.bincount(channel.ravel(), minlength=256) / channel.size
        mean.append(float(frequencies @ values))
        std.append(float(np.sqrt(frequencies @ (values - mean[-1]) ** 2)) or 1.0)
    return tuple(mean), tuple(std)
