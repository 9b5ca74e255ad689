"""What benchmarks share: their command line, random images, and a pool search on them."""

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lpjax import models, sparsity, train
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


class SearchProblem(NamedTuple):
    """What a step of the pool search takes."""

    evaluate: Callable[..., jax.Array]
    recalibrate: Callable[..., Variables]
    ticket: Ticket
    candidate: Variables
    key: jax.Array


def search_problem(options: argparse.Namespace, dtype: str = "float32", **mesh: Any) -> SearchProblem:
    """Prepare a fifth of a network's weights, another network as candidate, and images to measure both on.

    Args:
      options: `model`, `side` and number of `images`, `batch` size.
      dtype: Of the network.
      **mesh: `mesh=` to shard every batch over devices.
    """
    module = models.build(options.model, classes=10, dtype=dtype)
    apply = models.bind(module)
    batch = random_batch(options.images, options.side)
    sizes = {"images": options.images, "batch_size": options.batch}
    keys = jax.random.split(jax.random.key(1), 3)
    anchor = models.initialize(module, keys[0], (options.side, options.side, 3))
    dense = sparsity.full_mask(anchor)
    mask = sparsity.select(sparsity.magnitude(anchor), dense, sparsity.total(dense) // 5)
    return SearchProblem(
        evaluate=train.evaluator(apply, partial(to_unit, None), batch, options.batch, **mesh),
        recalibrate=train.recalibrator(apply, to_unit, batch, **sizes, **mesh),
        ticket=Ticket(sparsity.apply_mask(anchor, mask), mask),
        candidate=models.initialize(module, keys[1], (options.side, options.side, 3)),
        key=keys[2],
    )
