"""Residual networks: torchvision's with stems for CIFAR and ImageNet, and the narrow ones of the ResNet paper."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.core import FrozenDict

from lpjax.models.layers import (
    KAIMING_FAN_OUT,
    TORCH,
    Initializer,
    batch_norm,
    convolution,
    pad_shortcut,
    uniform_bias,
)


class ResNet(nn.Module):
    """A residual network; submodules have torchvision's names by default.

    Attributes:
      stages: Blocks per stage; stages after the first halve the resolution and double the channels.
      classes: Number of classes.
      width: Channels of the first stage.
      bottleneck: Whether blocks are 1x1, 3x3, 1x1 convolutions with four times the output channels, and the stride in
        the 3x3 convolution (v1.5).
      imagenet_stem: Whether the stem is a 7x7 convolution of stride 2 and a max-pool, instead of a 3x3 convolution.
      shortcut: Name of the 1x1 convolutions of shortcuts that change shape; `''` for option A.
      head: Name of the classifier.
      head_bias: Whether the classifier has a bias.
      openlth_names: Whether the stem is called `conv` and `bn`, and the blocks are numbered through, `blocks_0`, ...
      conv_init: Initializer of convolution kernels.
      head_init: Initializer of the classifier's kernel.
      scale_init: Initializer of BatchNorm's scales.
      dtype: Dtype of the computation; parameters, statistics and logits are float32.
      axis_name: Mapped axis over which BatchNorm averages its statistics.
      widths: Channels of single layers, such as `{'layer1_0/conv1': 5}`, in place of the regular ones: the `widths`
        that `lpjax.shrink` returns.

    References:
      He et al., Deep Residual Learning for Image Recognition, CVPR 2016.
    """

    stages: tuple[int, ...]
    classes: int
    width: int = 64
    bottleneck: bool = False
    imagenet_stem: bool = False
    shortcut: str = "downsample"
    head: str = "fc"
    head_bias: bool = True
    openlth_names: bool = False
    conv_init: Initializer = KAIMING_FAN_OUT
    head_init: Initializer = TORCH
    scale_init: Initializer = nn.initializers.ones
    dtype: Any = jnp.float32
    axis_name: str | None = None
    widths: Mapping[str, int] = FrozenDict()

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Compute the logits `[B, classes]`, float32, of normalized images `[B, H, W, C]`."""
        conv = partial(convolution, init=self.conv_init, dtype=self.dtype)
        norm = partial(batch_norm, train, axis_name=self.axis_name, dtype=self.dtype, scale=self.scale_init)
        stem = (7, 2) if self.imagenet_stem else (3, 1)
        number = "" if self.openlth_names else "1"
        width = self.widths.get(f"conv{number}", self.width)
        x = nn.relu(norm(name=f"bn{number}")(conv(width, *stem, name=f"conv{number}")(x.astype(self.dtype))))
        if self.imagenet_stem:
            x = nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        block = Bottleneck if self.bottleneck else BasicBlock
        for stage, blocks in enumerate(self.stages):
            for i in range(blocks):
                stride = 2 if stage and not i else 1
                name = f"layer{stage + 1}_{i}"
                if self.openlth_names:
                    name = f"blocks_{sum(self.stages[:stage]) + i}"
                x = block(self.width << stage, stride, conv, norm, self.shortcut, self.widths, name=name)(x)
        x = jnp.mean(x, axis=(1, 2), dtype=jnp.promote_types(self.dtype, jnp.float32))
        bias = uniform_bias(x.shape[-1])
        return nn.Dense(self.classes, self.head_bias, kernel_init=self.head_init, bias_init=bias, name=self.head)(x)


class BasicBlock(nn.Module):
    """A residual block of two 3x3 convolutions."""

    channels: int
    stride: int
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]
    shortcut: str
    widths: Mapping[str, int]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:  # noqa: D102
        width = self.widths.get(f"{self.name}/conv1", self.channels)
        y = self.conv(width, 3, self.stride, name="conv1")(x)
        y = self.conv(self.channels, 3, name="conv2")(nn.relu(self.norm(name="bn1")(y)))
        y = self.norm(name="bn2")(y)
        return nn.relu(y + _shortcut(self, x, self.channels))


class Bottleneck(nn.Module):
    """A residual block of 1x1, 3x3 and 1x1 convolutions."""

    channels: int
    stride: int
    conv: Callable[..., nn.Module]
    norm: Callable[..., nn.Module]
    shortcut: str
    widths: Mapping[str, int]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:  # noqa: D102
        y = self.conv(self.widths.get(f"{self.name}/conv1", self.channels), 1, name="conv1")(x)
        width = self.widths.get(f"{self.name}/conv2", self.channels)
        y = self.conv(width, 3, self.stride, name="conv2")(nn.relu(self.norm(name="bn1")(y)))
        y = self.conv(4 * self.channels, 1, name="conv3")(nn.relu(self.norm(name="bn2")(y)))
        y = self.norm(name="bn3")(y)
        return nn.relu(y + _shortcut(self, x, 4 * self.channels))


def _shortcut(block: BasicBlock | Bottleneck, x: jax.Array, channels: int) -> jax.Array:
    """Compute the shortcut; its submodules belong to the block."""
    if x.shape[-1] == channels and block.stride == 1:
        return x
    if not block.shortcut:
        return pad_shortcut(x, channels, block.stride)
    return block.norm(name=f"{block.shortcut}_1")(block.conv(channels, 1, block.stride, name=f"{block.shortcut}_0")(x))
