"""What benchmarks share: their command line, random images, and a pool search on them."""

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from PIL import Image

from lpjax import data, models, sparsity, train
from lpjax.types import Batch, Ticket, Variables


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser that shows a module's docstring as it is."""
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)


def machine() -> str:
    """Name the device and the version of JAX."""
    return f"{jax.devices()[0].device_kind}, jax {jax.__version__}"


def random_batch(images: int, side: int) -> Batch:
    """Draw images `[N, side, side, 3]` (uint8) and labels of ten classes."""
    keys = jax.random.split(jax.random.key(0))
    pixels = jax.random.randint(keys[0], (images, side, side, 3), 0, 256).astype(jnp.uint8)
    return Batch(pixels, jax.random.randint(keys[1], (images,), 0, 10))


def to_unit(keys: jax.Array | None, images: jax.Array) -> jax.Array:
    """Scale images to [0, 1] and augment nothing."""
    del keys
    return images.astype(jnp.float32) / 255


def prepare_images(
    home: str, counts: Mapping[str, int], draw: Callable[[], Image.Image], suffix: str, **choices: Any
) -> None:
    """Prepare a data set `random`, so many drawn images of two classes per split, in a TFDS directory."""
    for split, count in counts.items():
        for i in range(count):
            path = Path(home) / "folder" / split / str(i % 2) / f"{i}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            draw().save(path, quality=90)
    data.prepare_folder("random", Path(home) / "folder", home, **choices)


def accuracy(predict: Callable[[Any], Any], batch: Batch) -> float:
    """Measure the share of images that are classified correctly, 500 at a time."""
    labels = np.asarray(batch.labels)
    right = 0
    for start in range(0, len(labels), 500):
        logits = np.asarray(predict(batch.images[start : start + 500]))
        right += int(np.sum(logits.argmax(1) == labels[start : start + 500]))
    return right / len(labels)


def search_problem(
    options: argparse.Namespace, dtype: str = "float32", mesh: Mesh | None = None
) -> tuple[tuple[train.Evaluate, train.Recalibrate], Ticket, Variables]:
    """Prepare a pool search: images to measure on, a fifth of a network's weights, another network as candidate.

    Args:
      options: `model`, `side` and number of `images`, `batch` size.
      dtype: Of the network.
      mesh: Shards every batch over these devices.
    """
    module = models.build(options.model, classes=10, dtype=dtype)
    apply = models.bind(module)
    batch = random_batch(options.images, options.side)
    evaluate = train.evaluator(apply, partial(to_unit, None), batch, options.batch, mesh)
    sizes = {"images": options.images, "batch_size": options.batch}
    recalibrate = train.recalibrator(apply, to_unit, batch, **sizes, mesh=mesh)
    shape = (options.side, options.side, 3)
    anchor, candidate = (models.initialize(module, key, shape) for key in jax.random.split(jax.random.key(0)))
    return (evaluate, recalibrate), ticket_of_a_fifth(anchor), candidate


def ticket_of_a_fifth(params: Variables, prunable: sparsity.Prunable = sparsity.kernels) -> Ticket:
    """Prune a network to a fifth of its prunable weights, by magnitude."""
    dense = sparsity.full_mask(params)
    mask = sparsity.select(sparsity.magnitude(params), dense, sparsity.total(dense, prunable) // 5, prunable)
    return Ticket(sparsity.apply_mask(params, mask), mask)
