"""Wide residual networks, normalized and activated before each convolution."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lpjax.models.layers import KAIMING_FAN_OUT, TORCH, Initializer, batch_norm, convolution


class WideResNet(nn.Module):
    """A wide residual network for CIFAR, without dropout; submodules carry the PyTorch implementations' names.

    Attributes:
      classes: Outputs.
      depth: Convolutions and linear layers, shortcuts apart: 6 n + 4 for three groups of n blocks.
      widen: Channels of the first group are 16 times this; a group after it halves the image and doubles them.
      conv_init: Initial convolution kernels.
      head_init: Initial kernel of the classifier, whose bias starts from zero.
      dtype: Of the computation; parameters, statistics and logits are float32.
      axis_name: Mapped axis over which BatchNorm averages its statistics.

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

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Computes logits.

        Args:
          x: `[B, H, W, C]`, normalized.
          train: Normalize with the batch's statistics.

        Returns:
          `[B, classes]`, float32.

        Raises:
          ValueError: If no three groups of blocks have this depth.
        """
        blocks, rest = divmod(self.depth - 4, 6)
        if rest or blocks < 1:
            raise ValueError(f"a wide ResNet got depth {self.depth}, wanted 6 n + 4: 10, 16, 22, 28, ...")
        conv = partial(convolution, init=self.conv_init, dtype=self.dtype)
        norm = partial(batch_norm, train, axis_name=self.axis_name, dtype=self.dtype)
        x = conv(16, 3, name="conv1")(x.astype(self.dtype))
        for group in range(3):
            for i in range(blocks):
                stride = 2 if group and not i else 1
                x = Block(16 * self.widen << group, stride, conv, norm, name=f"block{group + 1}_layer_{i}")(x)
        x = nn.relu(norm(name="bn1")(x))
        x = jnp.mean(x, axis=(1, 2), dtype=jnp.promote_types(self.dtype, jnp.float32))
        return nn.Dense(self.classes, kernel_init=self.head_init, name="fc")(x)


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which shares the first activation where it changes shape."""

    channels: int
    stride: int
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:  # noqa: D102
        active = nn.relu(self.norm(name="bn1")(x))
        y = self.conv(self.channels, 3, self.stride, name="conv1")(active)
        y = self.conv(self.channels, 3, name="conv2")(nn.relu(self.norm(name="bn2")(y)))
        if x.shape[-1] == self.channels and self.stride == 1:
            return x + y
        return y + self.conv(self.channels, 1, self.stride, name="convShortcut")(active)
