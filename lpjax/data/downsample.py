"""Smaller copies of data sets: every image is averaged over squares of pixels."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lpjax.data.directory import data_home, prepared, write_directory
from lpjax.data.png import encode_png
from lpjax.data.sources import IN_MEMORY, find_directory
from lpjax.data.stored import ImageSplit, class_names, open_splits, read_images
from lpjax.errors import UserError

_CHUNK = 5000  # images in memory


def downsample(images: np.ndarray, factor: int) -> np.ndarray:
    """Average images over squares of pixels, rounding to the nearest integer, ties to even.

    Args:
      images: `[N, H, W, C]`, uint8.
      factor: The side of a square, in pixels; it divides `H` and `W`.

    Returns:
      `[N, H / factor, W / factor, C]`, uint8.

    Raises:
      UserError: If the squares do not tile the images.

    Example:
      >>> downsample(np.array([[[[0], [4]], [[8], [8]]]], np.uint8), 2).tolist()
      [[[[5]]]]
    """
    count, height, width, channels = images.shape
    if factor < 1 or height % factor or width % factor:
        raise UserError(f"factor: got {factor}, expected a divisor of both sides of the images, {height} and {width}")
    squares = images.reshape(count, height // factor, factor, width // factor, factor, channels)
    return np.rint(squares.mean((2, 4))).astype(np.uint8)


def prepare_downsampled(source: str, factor: int, data_dir: str | Path = "", source_dir: str | Path = "") -> Path:
    """Write a smaller copy of a data set as a TFDS directory, in the same order.

    Args:
      source: An image-classification data set whose images have one size, prepared in `source_dir`, or a name of
        `ARCHIVES`.
      factor: Pixels of a side that become one.
      data_dir: The folder of TFDS directories to write to; empty for the default of TFDS.
      source_dir: The folder that holds the source; empty for `data_dir`.

    Returns:
      The directory `data_dir/<source>_<H>x<W>/1.0.0`. If it exists it is kept, whatever it was made from.

    Raises:
      DataError: If the source is missing or broken.
      UserError: If the factor does not divide the sides of the images.

    Example:
      >>> prepare_downsampled('digits', 2)
      Traceback (most recent call last):
      lpjax.errors.UserError: source: got 'digits', expected a data set on disk, such as 'cifar10'
    """
    home = data_home(data_dir)
    if source in IN_MEMORY:
        raise UserError(f"source: got {source!r}, expected a data set on disk, such as 'cifar10'")
    train, test = open_splits(find_directory(source, str(source_dir or data_dir)))
    height, width, channels = downsample(np.asarray(read_images(train, 0, 1).images), factor).shape[1:]
    name = f"{source.partition(':')[0].replace('/', '_')}_{height}x{width}"
    existing = prepared(home).get(name)
    if existing is not None:
        return existing
    splits = {"train": _examples(train, factor), "test": _examples(test, factor)}
    about = f"{source}, every image averaged over squares of {factor}x{factor} pixels."
    features = _features((height, width, channels), class_names(train))
    return write_directory(home, name, "1.0.0", features, splits, about)


def _examples(split: ImageSplit, factor: int) -> Iterator[dict[str, Any]]:
    for start in range(0, split.size, _CHUNK):
        batch = read_images(split, start, min(start + _CHUNK, split.size))
        for row, image in enumerate(downsample(np.asarray(batch.images), factor)):
            label = int(batch.labels[row])
            yield {"id": f"{split.name}_{start + row:05d}", "image": encode_png(image), "label": label}


def _features(shape: tuple[int, int, int], names: list[str]) -> Any:
    import tensorflow_datasets as tfds

    return tfds.features.FeaturesDict(
        {
            "id": tfds.features.Text(),
            "image": tfds.features.Image(shape=shape, encoding_format="png"),
            "label": tfds.features.ClassLabel(names=names),
        }
    )
