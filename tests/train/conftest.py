"""A network, a split and an augmentation that are as small as the tests allow, in plain JAX."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from lpjax.types import Apply, Augment, Batch, Preprocess, Variables

CLASSES = 3


class Tiny(NamedTuple):
    apply: Apply
    variables: Variables
    data: Batch
    preprocess: Preprocess
    augment: Augment


def convolutional(variables, images, *, train=False, axis_name=None):
    """One convolution, batch normalization over the global batch, rectifier, pooling, one dense layer."""
    params, stats = variables
    x = lax.conv_general_dilated(images, params["conv"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    if train:
        mean = global_mean(x.mean((0, 1, 2)), axis_name)
        stats = {"mean": mean, "var": global_mean(((x - mean) ** 2).mean((0, 1, 2)), axis_name)}
    x = (x - stats["mean"]) * lax.rsqrt(stats["var"] + 1e-5) * params["scale"] + params["bias"]
    return jax.nn.relu(x).mean((1, 2)) @ params["dense"], stats


def global_mean(x, axis_name):
    return x if axis_name is None else lax.pmean(x, axis_name)


def to_unit(images):
    return images.astype(jnp.float32) / 255 - 0.5


def with_noise(keys, images):
    noise = jax.vmap(lambda key: jax.random.uniform(key, images.shape[1:]))(keys)
    return to_unit(images) + 0.1 * noise


@pytest.fixture(scope="session")
def tiny():
    return make_tiny()


def make_tiny():
    rng = np.random.default_rng(0)
    params = {
        "conv": jnp.asarray(rng.normal(size=(3, 3, 1, 4)), jnp.float32),
        "scale": jnp.ones(4),
        "bias": jnp.zeros(4),
        "dense": jnp.asarray(rng.normal(size=(4, CLASSES)), jnp.float32),
    }
    data = Batch(
        jnp.asarray(rng.integers(0, 256, (20, 4, 4, 1)), jnp.uint8),
        jnp.asarray(rng.integers(0, CLASSES, 20), jnp.int32),
    )
    variables = Variables(params, {"mean": jnp.zeros(4), "var": jnp.ones(4)})
    return Tiny(convolutional, variables, data, to_unit, with_noise)
