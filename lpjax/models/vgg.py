"""VGG-16 with BatchNorm, in the form for CIFAR that pruning papers use."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.core import FrozenDict

from lpjax.errors import UserError
from lpjax.models.layers import KAIMING_FAN_OUT, Initializer, batch_norm, convolution, zero_bias

CONFIGURATION_D = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")


class VGG(nn.Module):
    """Convolutions with bias and BatchNorm, five max-pools, global average pooling, and one or two linear layers.

    Submodules have torchvision's names: `features_0` is a convolution, `features_1` its BatchNorm. With a hidden layer,
    the head is Linear, ReLU, BatchNorm, Linear: `classifier_0`, `classifier_2`, `classifier_3`.

    Attributes:
      classes: Number of classes.
      layers: Channels of the convolutions, and `'M'` for 2x2 max-pools.
      hidden: Units of the hidden layer of the head; 0 for no hidden layer.
      conv_init: Initializer of convolution kernels.
      head_init: Initializer of the kernels of the head.
      bias_init: Function from the fan-in of a layer to the initializer of its bias.
      dtype: Dtype of the computation; parameters, statistics and logits are float32.
      axis_name: Mapped axis over which BatchNorm averages its statistics.
      widths: Channels of single layers, such as `{'features_0': 5}`, in place of those of `layers` and `hidden`: the
        `widths` that `lpjax.shrink` returns.

    References:
      Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015; Lee
      et al., SNIP, ICLR 2019 (VGG-like: the hidden layer).
    """

    classes: int
    layers: tuple[int | str, ...] = CONFIGURATION_D
    hidden: int = 0
    conv_init: Initializer = KAIMING_FAN_OUT
    head_init: Initializer = nn.initializers.normal(0.01)
    bias_init: Callable[[int], Initializer] = zero_bias
    dtype: Any = jnp.float32
    axis_name: str | None = None
    widths: Mapping[str, int] = FrozenDict()

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Compute the logits `[B, classes]`, float32, of normalized images `[B, H, W, C]`; H and W at least 32.

        Raises:
          UserError: If the image is too small for the max-pools.
        """
        least = 2 ** self.layers.count("M")
        if min(x.shape[1:3]) < least:
            got = "x".join(map(str, x.shape[1:3]))
            raise UserError(
                f"images: got {got} pixels, expected at least {least}x{least} for VGG; use 'resnet8' for small images"
            )
        norm = partial(batch_norm, train, axis_name=self.axis_name)
        x = x.astype(self.dtype)
        i = 0
        for channels in self.layers:
            if isinstance(channels, str):
                x = nn.max_pool(x, window_shape=(2, 2), strides=(2, 2))  # by name, as jax2onnx wants
                i += 1
                continue
            bias = self.bias_init(9 * x.shape[-1])
            width = self.widths.get(f"features_{i}", channels)
            x = convolution(width, 3, init=self.conv_init, bias=bias, dtype=self.dtype, name=f"features_{i}")(x)
            x = nn.relu(norm(dtype=self.dtype, name=f"features_{i + 1}")(x))
            i += 3
        x = jnp.mean(x, axis=(1, 2), dtype=jnp.promote_types(self.dtype, jnp.float32))
        linear = partial(nn.Dense, kernel_init=self.head_init)
        if self.hidden:
            hidden = self.widths.get("classifier_0", self.hidden)
            x = nn.relu(linear(hidden, bias_init=self.bias_init(x.shape[-1]), name="classifier_0")(x))
            x = norm(dtype=x.dtype, name="classifier_2")(x)
        last = "classifier_3" if self.hidden else "classifier"
        return linear(self.classes, bias_init=self.bias_init(x.shape[-1]), name=last)(x)
