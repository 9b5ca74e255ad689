"""Wide residual networks with pre-activation."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.core import FrozenDict

from lpjax.errors import UserError
from lpjax.models.layers import KAIMING_FAN_OUT, TORCH, Initializer, batch_norm, convolution


class WideResNet(nn.Module):
    """A wide residual network for CIFAR, without dropout; submodules have the names of the PyTorch implementations.

    Attributes:
      classes: Number of classes.
      depth: Number of convolutions and linear layers without shortcuts, 6 n + 4 for three groups of n blocks.
      widen: The first group has 16 times this many channels; other groups halve the resolution and double the channels.
      conv_init: Initializer of convolution kernels.
      head_init: Initializer of the classifier's kernel; its bias is initialized to zero.
      dtype: Dtype of the computation; parameters, statistics and logits are float32.
      axis_name: Mapped axis over which BatchNorm averages its statistics.
      widths: Channels of single layers, such as `{'block1_layer_0/conv1': 5}`, in place of the regular ones: the
        `widths` that `lpjax.shrink` returns.

    References:
      Zagoruyko and Komodakis, Wide Residual Networks, BMVC 2016.
    """

    classes: int
    depth: int = 28
    widen: int = 10
    conv_init: Initializer = KAIMING_FAN_OUT
    head_init: Initializer = TORCH
    dtype: Any = jnp.float32
    axis_name: str | None = None
    widths: Mapping[str, int] = FrozenDict()

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Compute the logits `[B, classes]`, float32, of normalized images `[B, H, W, C]`.

        Raises:
          UserError: If the depth is not 6 n + 4.
        """
        blocks, rest = divmod(self.depth - 4, 6)
        if rest or blocks < 1:
            raise UserError(f"depth: got {self.depth}, expected 6 n + 4, e.g. 10, 16, 22 or 28")
        conv = partial(convolution, init=self.conv_init, dtype=self.dtype)
        norm = partial(batch_norm, train, axis_name=self.axis_name, dtype=self.dtype)
        x = conv(self.widths.get("conv1", 16), 3, name="conv1")(x.astype(self.dtype))
        for group in range(3):
            for i in range(blocks):
                stride = 2 if group and not i else 1
                name = f"block{group + 1}_layer_{i}"
                x = Block(16 * self.widen << group, stride, conv, norm, self.widths, name=name)(x)
        x = nn.relu(norm(name="bn1")(x))
        x = jnp.mean(x, axis=(1, 2), dtype=jnp.promote_types(self.dtype, jnp.float32))
        return nn.Dense(self.classes, kernel_init=self.head_init, name="fc")(x)


class Block(nn.Module):
    """A residual block of two 3x3 convolutions; a shortcut that changes shape starts from the first activation."""

    channels: int
    stride: int
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]
    widths: Mapping[str, int]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:  # noqa: D102
        active = nn.relu(self.norm(name="bn1")(x))
        width = self.widths.get(f"{self.name}/conv1", self.channels)
        y = self.conv(width, 3, self.stride, name="conv1")(active)
        y = self.conv(self.channels, 3, name="conv2")(nn.relu(self.norm(name="bn2")(y)))
        if x.shape[-1] == self.channels and self.stride == 1:
            return x + y
        return y + self.conv(self.channels, 1, self.stride, name="convShortcut")(active)
