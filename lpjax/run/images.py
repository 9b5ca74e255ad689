"""The images of a run: in device memory, or read while training."""

from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from ml_collections import ConfigDict

from lpjax import data, train
from lpjax.types import Augment, Batch, Preprocess

_FIXED_CROP = 0  # key of the one crop that an image held for recalibration gets
_SAMPLE = 1024  # training images that mean and standard deviation are measured on


class Data(NamedTuple):
    """What is trained on, what selects, and what is reported.

    Attributes:
      size: Training images.
      classes: Number of classes.
      shape: `(H, W, C)` as the network sees them.
      streamed: Whether `feed` yields the images of a batch, in its order, and not all of them.
      feed: Training images for `train.fit`.
      recalibration_images: Training images in device memory: all, if not streamed.
      validation: What selects, in device memory.
      test: What is reported; where images are streamed, `images` is `data.LazyImages`.
      augment: Keys and training images in device memory to normalized floats, with augmentation.
      preprocess: Images to normalized floats.
    """

    size: int
    classes: int
    shape: tuple[int, int, int]
    streamed: bool
    feed: train.Feed
    recalibration_images: Batch
    validation: Batch
    test: Batch
    augment: Augment
    preprocess: Preprocess


def load_data(config: ConfigDict, mesh: Mesh) -> Data:
    """Load the images of a resolved config, or open them if they are streamed.

    Raises:
      UserError: If they are missing or broken.
    """
    return _streamed(config, mesh) if config.stream.size else _resident(config, mesh)


def _resident(config: ConfigDict, mesh: Mesh) -> Data:
    dataset = data.load(
        config.dataset, data_dir=config.data_dir, validation=config.validation, train_images=config.train_images
    )
    training = train.replicate(dataset.train, mesh)
    height, width, channels = dataset.train.images.shape[1:]
    return Data(
        size=len(dataset.train.labels),
        classes=dataset.classes,
        shape=(height, width, channels),
        streamed=False,
        feed=train.resident(training, config.train.batch_size, config.train.steps_per_dispatch),
        recalibration_images=training,
        validation=train.replicate(dataset.validation, mesh),
        test=train.replicate(dataset.test, mesh),
        augment=data.augmenter(dataset.mean, dataset.std, **config.augment),
        preprocess=data.preprocessor(dataset.mean, dataset.std),
    )


def _streamed(config: ConfigDict, mesh: Mesh) -> Data:
    """Hold as little as runs need: validation, and as many training images as recalibration asks for.

    Each of these is cropped once, at random but always the same; it is mirrored anew at every use.
    """
    settings = config.stream
    crop = data.Crop(settings.size, settings.resize, tuple(settings.area), tuple(settings.ratio))
    training, test = data.open_image_splits(config.dataset, config.data_dir)
    rows, held_out = data.divide(config.dataset, training.size, config.validation, config.train_images)
    sample = _evenly_spaced(rows, int(config.pool.recalibrate))
    sampled = data.decode(data.ImageLoader(training, crop, (_FIXED_CROP,)), sample)
    mean: Sequence[float]
    std: Sequence[float]
    published = data.PUBLISHED.get(config.dataset.partition(":")[0])
    if published:
        mean, std = published
    else:
        images = data.decode(data.ImageLoader(training, crop), _evenly_spaced(rows, _SAMPLE)).images
        mean, std = data.channel_statistics(np.asarray(images))
    on_demand: Any = data.LazyImages(test, crop)
    test_labels: Any = data.read_labels(test)
    return Data(
        size=len(rows),
        classes=training.classes,
        shape=(settings.size, settings.size, training.channels),
        streamed=True,
        feed=stream(
            training, crop, mesh, config.train.batch_size, workers=settings.workers, prefetch=settings.prefetch
        ),
        recalibration_images=train.replicate(sampled, mesh),
        validation=train.replicate(data.decode(data.ImageLoader(training, crop), held_out), mesh),
        test=Batch(on_demand, train.replicate(test_labels, mesh)),
        augment=data.augmenter(mean, std, crop=0, flip=config.augment.flip),
        preprocess=data.preprocessor(mean, std),
    )


def stream(
    images: data.ImageSplit, crop: data.Crop, mesh: Mesh, batch_size: int, *, workers: int = 0, prefetch: int = 2
) -> train.Feed:
    """Feed images that are read and cropped while training.

    The crop of an image follows from the epoch's key and the image's row. So a run that resumes at any step, in any
    number of processes, continues with the batches of a run that never stopped.

    Args:
      images: The training split.
      crop: How they are cropped.
      mesh: The devices: batches are sharded over them, or replicated if their number does not divide the batch.
      batch_size: Images per step.
      workers: Processes of this host that decode; 0 for threads.
      prefetch: Batches read ahead, besides the one that is placed on the devices ahead of time.

    Returns:
      The feed: a batch at a time, and its rows.
    """

    def feed(rows: np.ndarray, key: jax.Array) -> Iterator[tuple[Batch, Any]]:
        batches = [rows[i : i + batch_size] for i in range(0, len(rows), batch_size)]
        local = [batch[local_positions(len(batch), mesh, mesh.local_devices)] for batch in batches]
        load = data.ImageLoader(images, crop, tuple(jax.random.key_data(key).ravel().tolist()))
        with closing(data.read_ahead(load, local, workers=workers, prefetch=prefetch)) as source:
            placed = (place_batch(batch, len(rows), mesh) for batch, rows in zip(source, batches, strict=True))
            with closing(_one_ahead(placed)) as ready:
                for batch, visited in zip(ready, batches, strict=True):
                    yield batch, visited[None]

    return feed


def local_positions(size: int, mesh: Mesh, devices: Any) -> np.ndarray:
    """List the positions of a batch of `size` that some devices of one process hold: ascending, int64."""
    slices = _sharding(size, mesh).devices_indices_map((size,))
    return np.unique(np.concatenate([np.arange(size)[slices[device]] for device in devices]))


def place_batch(batch: Batch, size: int, mesh: Mesh) -> Batch:
    """Make a global batch of `size` images from this process's part of it, the images of `local_positions`."""
    sharding = _sharding(size, mesh)

    def place(local: np.ndarray) -> jax.Array:
        return jax.make_array_from_process_local_data(sharding, local, (size, *local.shape[1:]))

    return jax.tree.map(place, batch)


def _one_ahead(source: Iterator[Batch]) -> Generator[Batch, None, None]:
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, source, None)
        while (now := coming.result()) is not None:
            coming = thread.submit(next, source, None)
            yield now


def _sharding(size: int, mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, P() if size % mesh.size else P(train.AXIS))


def _evenly_spaced(rows: range, count: int) -> list[int]:
    """Take rows at equal distances: of all classes, even where a split is stored class by class."""
    if count >= len(rows):
        return list(rows)
    return [rows[i * len(rows) // count] for i in range(count)]
