"""Layers with the padding and initial weights of PyTorch; BatchNorm returns the statistics of the batch."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

Initializer = nn.initializers.Initializer

KAIMING_FAN_IN: Initializer = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
KAIMING_FAN_OUT: Initializer = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
TORCH: Initializer = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
"""U(-1/sqrt(fan_in), 1/sqrt(fan_in)), PyTorch's default for linear layers and convolutions."""


def convolution(
    channels: int,
    size: int,
    stride: int = 1,
    *,
    init: Initializer,
    bias: Initializer | None = None,
    dtype: Any,
    name: str,
) -> nn.Conv:
    """Build a square convolution, odd in size, with padding `size // 2` on every side, for any stride.

    `padding='SAME'` would pad a strided 3x3 convolution by (0, 1), unlike PyTorch.
    """
    pad = (size // 2, size // 2)
    return nn.Conv(
        channels,
        (size, size),
        (stride, stride),
        (pad, pad),
        use_bias=bias is not None,
        kernel_init=init,
        bias_init=bias or nn.initializers.zeros,
        dtype=dtype,
        name=name,
    )


def batch_norm(
    train: bool, *, axis_name: str | None, dtype: Any, name: str, scale: Initializer = nn.initializers.ones
) -> nn.BatchNorm:
    """Build BatchNorm with momentum 0, whose updated statistics are those of the batch; the caller averages them."""
    return nn.BatchNorm(
        not train, momentum=0.0, epsilon=1e-5, axis_name=axis_name, dtype=dtype, scale_init=scale, name=name
    )


def uniform_bias(fan_in: int) -> Initializer:
    """Return the initializer U(-1/sqrt(fan_in), 1/sqrt(fan_in)), PyTorch's default for biases."""

    def init(key: jax.Array, shape: Any, dtype: Any = jnp.float32, out_sharding: Any = None) -> jax.Array:
        del out_sharding
        return jax.random.uniform(key, shape, dtype, -(fan_in**-0.5), fan_in**-0.5)

    return init


def zero_bias(fan_in: int) -> Initializer:
    """Return the initializer to zeros."""
    del fan_in
    return nn.initializers.zeros


def pad_shortcut(x: jax.Array, channels: int, stride: int) -> jax.Array:
    """Downsample by striding, and pad with zero channels on both sides (option A, without parameters).

    The channels to add must be even in number.

    References:
      He et al., Deep Residual Learning for Image Recognition, CVPR 2016, section 3.3.
    """
    side = (channels - x.shape[-1]) // 2
    return jnp.pad(x[:, ::stride, ::stride], ((0, 0), (0, 0), (0, 0), (side, side)))
