"""The images of a run, made ready: on the devices, or read while training."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from ml_collections import ConfigDict

from lpjax import data, train
from lpjax.types import Augment, Batch, Preprocess


class Images(NamedTuple):
    """What is trained on, selected by and reported.

    Attributes:
      size: Training images.
      classes: Number of classes.
      shape: `(H, W, C)` as the network sees them.
      feed: Training images for `train.fit`.
      known: Training images on the devices, for recalibration: all, if they are.
      validation: What selects, on the devices.
      test: What reports.
      augment: Keys and `known` images to normalised floats, with augmentation.
      preprocess: Images to normalised floats.
    """

    size: int
    classes: int
    shape: tuple[int, int, int]
    feed: train.Feed
    known: Batch
    validation: Batch
    test: Batch
    augment: Augment
    preprocess: Preprocess


def load_images(config: ConfigDict, mesh: Mesh) -> Images:
    """Loads the images of a config.

    Args:
      config: The resolved configuration.
      mesh: The devices.

    Returns:
      The images.

    Raises:
      ValueError: If they are missing or broken.
    """
    dataset = data.load(
        config.dataset, data_dir=config.data_dir, validation=config.validation, train_images=config.train_images
    )
    splits = (dataset.train, dataset.validation, dataset.test)
    training, validation, test = (train.replicate(jax.tree.map(jnp.asarray, split), mesh) for split in splits)
    height, width, channels = dataset.train.images.shape[1:]
    return Images(
        size=len(dataset.train.labels),
        classes=dataset.classes,
        shape=(height, width, channels),
        feed=train.resident(training, config.train.batch_size, config.train.steps_per_dispatch),
        known=training,
        validation=validation,
        test=test,
        augment=data.augmenter(dataset.mean, dataset.std, **config.augment),
        preprocess=data.preprocessor(dataset.mean, dataset.std),
    )
