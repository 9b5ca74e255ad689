"""Reading of TFDS directories: image by image, for streaming, or a range of images into memory."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from lpjax.data.directory import DataError, read_error
from lpjax.data.png import decode_image, open_image
from lpjax.types import Batch

_CHUNK = 500  # images or labels that are read at a time


class ImageSplit(NamedTuple):
    """A split whose images are read one by one. It holds no open files, so it can be sent to other processes.

    Attributes:
      directory: The TFDS directory.
      name: Name of the split.
      size: Number of images.
      channels: 1 (gray) or 3 (color); images are converted.
      classes: Number of classes.
    """

    directory: Path
    name: str
    size: int
    channels: int
    classes: int


def open_splits(directory: Path) -> tuple[ImageSplit, ImageSplit]:
    """Open the training and the test split (`validation` if there is no `test`) of a TFDS directory."""
    splits = _builder(directory).info.splits
    test = "test" if "test" in splits else "validation"
    missing = {"train", test} - set(splits)
    if missing:
        raise DataError(f"{directory} has no {' and no '.join(sorted(missing))} split; it has {sorted(splits)}")
    return open_split(directory, "train"), open_split(directory, test)


def open_split(directory: Path, name: str) -> ImageSplit:
    """Open a split of a TFDS directory in ArrayRecord format that holds 8-bit images with one label each."""
    builder = _builder(directory)
    image, label = _keys(directory, builder)
    if name not in builder.info.splits:
        raise DataError(f"{directory} has no {name} split; it has {sorted(builder.info.splits)}")
    features = builder.info.features
    channels = features[image].shape[-1] or 3
    return ImageSplit(directory, name, builder.info.splits[name].num_examples, channels, features[label].num_classes)


def class_names(split: ImageSplit) -> list[str]:
    """List the names of the classes of a split, by label; where it stores none, they are `'0'`, `'1'`, ..."""
    builder = _builder(split.directory)
    _, label = _keys(split.directory, builder)
    return list(builder.info.features[label].names)


def read_image(split: ImageSplit, row: int) -> tuple[Image.Image, int]:
    """Read one image, of mode `'L'` or `'RGB'`, and its label; raise DataError if it is corrupt or cannot be read."""
    try:
        stored, (image, label) = _opened(split.directory, split.name)
        example = stored[row]
        return open_image(example[image], split.channels), int(example[label])
    except Exception as error:  # ArrayRecord, protocol buffers, TFDS and Pillow raise many types
        raise read_error(split.directory, error, f" at image {row} of {split.name}") from error


def read_labels(split: ImageSplit) -> np.ndarray:
    """Read all labels of a split, without decoding images.

    Args:
      split: The split.

    Returns:
      `[N]`, int32.

    Raises:
      DataError: If the data are corrupt, or could not be read.
    """
    labels: list[int] = []
    try:
        stored, (_, label) = _opened(split.directory, split.name)
        for start in range(0, split.size, _CHUNK):
            examples = stored.__getitems__(range(start, min(start + _CHUNK, split.size)))
            labels.extend(example[label] for example in examples)
    except Exception as error:
        raise read_error(split.directory, error) from error
    return np.array(labels, np.int32)


def read_images(split: ImageSplit, start: int, stop: int) -> Batch:
    """Read the images and labels of a range of rows, which must have one shape, into numpy arrays.

    Pillow decodes the images, in threads, so that pixels are the same on every machine.
    """
    try:
        stored, (image, label) = _open(split.directory, split.name)
        shape = decode_image(stored[0][image], split.channels).shape
        images: Any = np.empty((stop - start, *shape), np.uint8)
        labels: Any = np.empty(stop - start, np.int32)

        def decode_chunk(begin: int) -> None:
            rows = range(begin, min(begin + _CHUNK, stop))
            for row, example in zip(rows, stored.__getitems__(rows), strict=True):
                pixels = decode_image(example[image], split.channels)
                if pixels.shape != shape:
                    raise DataError(
                        f"{split.directory} has images of shapes {shape} and {pixels.shape}; "
                        "resize all images to one shape, or stream them (stream.size=224)"
                    )
                images[row - start] = pixels
                labels[row - start] = example[label]

        with ThreadPoolExecutor() as threads:
            list(threads.map(decode_chunk, range(start, stop, _CHUNK)))
    except (OSError, RuntimeError) as error:  # ArrayRecord raises RuntimeError for missing or truncated files
        raise read_error(split.directory, error) from error
    return Batch(images, labels)


@cache
def _opened(directory: Path, split: str) -> tuple[Any, tuple[str, str]]:
    return _open(directory, split)


def _open(directory: Path, split: str) -> tuple[Any, tuple[str, str]]:
    """Open the records of a split, with images as encoded bytes, and name the features of image and label."""
    import tensorflow_datasets as tfds

    builder = _builder(directory)
    keys = _keys(directory, builder)
    return builder.as_data_source(split, decoders={keys[0]: tfds.decode.SkipDecoding()}), keys


def _builder(directory: Path) -> Any:
    import tensorflow_datasets as tfds

    return tfds.builder_from_directory(directory)


def _keys(directory: Path, builder: Any) -> tuple[str, str]:
    """Name the features of image and label, after checking that it is an image-classification data set."""
    import tensorflow_datasets as tfds

    features = dict(builder.info.features.items())
    image, label = (builder.info.supervised_keys or ("image", "label"))[:2]
    if not isinstance(features.get(image), tfds.features.Image) or not isinstance(
        features.get(label), tfds.features.ClassLabel
    ):
        raise DataError(f"{directory}: got features {sorted(features)}, expected images with one label each")
    if features[image].np_dtype != np.uint8:
        raise DataError(f"{directory}: got pixels of {np.dtype(features[image].np_dtype)}, expected uint8")
    file_format = builder.info.file_format.value
    if file_format != "array_record":
        raise DataError(
            f"{directory}: got format {file_format}, which requires TensorFlow, expected array_record; convert it, or "
            f"give another data_dir and prepare it there"
        )
    return image, label
