"""The images of a run, made ready: on the devices, or read while training."""

from typing import Any, NamedTuple

import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from lpjax import data, train
from lpjax.run.streamed import streamed
from lpjax.types import Augment, Batch, Preprocess

_FIXED = 0  # key of the one crop that an image held for recalibration gets
_SAMPLE = 1024  # training images that mean and standard deviation are measured on


class Images(NamedTuple):
    """What is trained on, selected by and reported.

    Attributes:
      size: Training images.
      classes: Number of classes.
      shape: `(H, W, C)` as the network sees them.
      streamed: Whether `feed` yields the images of a batch, in its order, and not all of them.
      feed: Training images for `train.fit`.
      known: Training images on the devices, for recalibration: all, if not streamed.
      validation: What selects, on the devices.
      test: What reports; where images are streamed, `images` is `data.LazyImages`.
      augment: Keys and `known` images to normalized floats, with augmentation.
      preprocess: Images to normalized floats.
    """

    size: int
    classes: int
    shape: tuple[int, int, int]
    streamed: bool
    feed: train.Feed
    known: Batch
    validation: Batch
    test: Batch
    augment: Augment
    preprocess: Preprocess


def load_images(config: ConfigDict, mesh: Mesh) -> Images:
    """Loads the images of a config, or opens them if they are to be streamed.

    Args:
      config: The resolved configuration.
      mesh: The devices.

    Returns:
      The images.

    Raises:
      ValueError: If they are missing or broken.
    """
    return _streamed(config, mesh) if config.stream.size else _resident(config, mesh)


def _resident(config: ConfigDict, mesh: Mesh) -> Images:
    dataset = data.load(
        config.dataset, data_dir=config.data_dir, validation=config.validation, train_images=config.train_images
    )
    splits = (dataset.train, dataset.validation, dataset.test)
    training, validation, test = (train.replicate(split, mesh) for split in splits)
    height, width, channels = dataset.train.images.shape[1:]
    return Images(
        size=len(dataset.train.labels),
        classes=dataset.classes,
        shape=(height, width, channels),
        streamed=False,
        feed=train.resident(training, config.train.batch_size, config.train.steps_per_dispatch),
        known=training,
        validation=validation,
        test=test,
        augment=data.augmenter(dataset.mean, dataset.std, **config.augment),
        preprocess=data.preprocessor(dataset.mean, dataset.std),
    )


def _streamed(config: ConfigDict, mesh: Mesh) -> Images:
    """Holds as little as runs need: validation, and as many training images as recalibration asks for.

    Each of these is cut out of its picture once, at random but always the same; it is mirrored anew at every use.
    """
    settings = config.stream
    crop = data.Crop(settings.size, settings.resize, tuple(settings.area), tuple(settings.ratio))
    training, test = data.open_image_splits(config.dataset, config.data_dir)
    rows, held_out = data.divide(config.dataset, training.size, config.validation, config.train_images)
    known = data.decode(data.ImageLoader(training, crop, (_FIXED,)), _spaced(rows, int(config.pool.recalibrate)))
    mean, std = data.PUBLISHED.get(config.dataset.partition(":")[0]) or data.channel_statistics(
        np.asarray(data.decode(data.ImageLoader(training, crop), _spaced(rows, _SAMPLE)).images)
    )
    on_demand: Any = data.LazyImages(test, crop)
    test_labels: Any = data.read_labels(test)
    reading = {"workers": settings.workers, "prefetch": settings.prefetch}
    return Images(
        size=len(rows),
        classes=training.classes,
        shape=(settings.size, settings.size, training.channels),
        streamed=True,
        feed=streamed(training, crop, mesh, config.train.batch_size, **reading),
        known=train.replicate(known, mesh),
        validation=train.replicate(data.decode(data.ImageLoader(training, crop), held_out), mesh),
        test=Batch(on_demand, train.replicate(test_labels, mesh)),
        augment=data.augmenter(mean, std, crop=0, flip=config.augment.flip),
        preprocess=data.preprocessor(mean, std),
    )


def _spaced(rows: range, count: int) -> list[int]:
    """Takes rows at equal distances: from all classes, even where a split is stored class by class."""
    return [rows[i * len(rows) // count] for i in range(count)] if count < len(rows) else list(rows)
