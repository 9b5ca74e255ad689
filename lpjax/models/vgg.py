"""VGG-16 with BatchNorm, in the CIFAR form that pruning papers use."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lpjax.models.layers import KAIMING_FAN_OUT, batch_norm, convolution

CONFIGURATION_D = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")


class VGG(nn.Module):
    """Convolutions with bias, each normalised, five max-pools, and one linear layer on the average.

    Submodules carry torchvision's numbers: `features_0` is a convolution, `features_1` its BatchNorm.

    Attributes:
      classes: Outputs.
      layers: Channels of the convolutions, `'M'` for a max-pool of 2x2.
      dtype: Of the computation; parameters, statistics and logits are float32.
      axis_name: Mapped axis over which BatchNorm averages its statistics.

    References:
      Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, ICLR 2015.
    """

    classes: int
    layers: tuple[int | str, ...] = CONFIGURATION_D
    dtype: Any = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool = False) -> jax.Array:
        """Computes logits.

        Args:
          x: `[B, H, W, C]`, normalised; H and W at least 32.
          train: Normalise with the batch's statistics.

        Returns:
          `[B, classes]`, float32.

        Raises:
          ValueError: If the max-pools would leave nothing of the image.
        """
        least = 2 ** self.layers.count("M")
        if min(x.shape[1:3]) < least:
            got = "x".join(map(str, x.shape[1:3]))
            raise ValueError(
                f"VGG got images of {got}, wanted at least {least}x{least}; choose 'resnet8' for small ones"
            )
        x = x.astype(self.dtype)
        i = 0
        for channels in self.layers:
            if isinstance(channels, str):
                x = nn.max_pool(x, (2, 2), (2, 2))
                i += 1
                continue
            x = convolution(channels, 3, init=KAIMING_FAN_OUT, bias=True, dtype=self.dtype, name=f"features_{i}")(x)
            x = batch_norm(train, axis_name=self.axis_name, dtype=self.dtype, name=f"features_{i + 1}")(x)
            x = nn.relu(x)
            i += 3
        x = jnp.mean(x, axis=(1, 2), dtype=jnp.promote_types(self.dtype, jnp.float32))
        return nn.Dense(self.classes, kernel_init=nn.initializers.normal(0.01), name="classifier")(x)
