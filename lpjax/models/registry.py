"""The networks by name, and what the rest of the library sees of them: an `apply` and initial variables."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lpjax.choices import one_of
from lpjax.models.layers import KAIMING_FAN_IN, TORCH, uniform_bias
from lpjax.models.resnet import ResNet
from lpjax.models.vgg import VGG
from lpjax.models.wide_resnet import WideResNet
from lpjax.types import Apply, PyTree, Variables

_slim = partial(ResNet, width=16, shortcut="", conv_init=KAIMING_FAN_IN, head_init=KAIMING_FAN_IN)
_imagenet = partial(
    ResNet,
    imagenet_stem=True,
    conv_init=KAIMING_FAN_IN,
    head_init=KAIMING_FAN_IN,
    scale_init=nn.initializers.uniform(1.0),
)
MODELS: dict[str, Callable[..., nn.Module]] = {
    "imagenet_resnet18": partial(_imagenet, (2, 2, 2, 2)),
    "imagenet_resnet34": partial(_imagenet, (3, 4, 6, 3)),
    "imagenet_resnet50": partial(_imagenet, (3, 4, 6, 3), bottleneck=True),
    "resnet8": partial(_slim, (1, 1, 1)),
    "resnet18": partial(ResNet, (2, 2, 2, 2)),
    "resnet20": partial(_slim, (3, 3, 3)),
    "resnet44": partial(_slim, (7, 7, 7)),
    "resnet50": partial(ResNet, (3, 4, 6, 3), bottleneck=True),
    "resnet56": partial(_slim, (9, 9, 9)),
    "suptickets_imagenet_resnet50": partial(
        ResNet, (3, 4, 6, 3), bottleneck=True, imagenet_stem=True, conv_init=KAIMING_FAN_IN
    ),
    "suptickets_resnet50": partial(
        ResNet,
        (3, 4, 6, 3),
        bottleneck=True,
        shortcut="shortcut",
        head="classifier",
        head_bias=False,
        conv_init=TORCH,
    ),
    "suptickets_vgg16": partial(VGG, hidden=512, conv_init=TORCH, head_init=TORCH, bias_init=uniform_bias),
    "vgg16": VGG,
    "wide_resnet28_10": WideResNet,
}
"""Constructors, initial weights as the originals draw them.

ImageNet's are OpenLTH's; `suptickets_` and `wide_` those of the sparse training codes; the others the CIFAR code's.
"""
NAMES = tuple(MODELS)


def build(name: str, *, classes: int, dtype: str = "float32", **options: Any) -> nn.Module:
    """Builds a network.

    Args:
      name: One of `NAMES`.
      classes: Outputs.
      dtype: `'float32'` or `'bfloat16'`, of the computation; parameters are float32.
      **options: Further fields of the module, such as `width`.

    Returns:
      A Flax module; see `bind` and `initialize`.

    Raises:
      ValueError: If the name, the dtype or an option is unknown.

    Example:
      >>> build('resnet20', classes=10).stages
      (3, 3, 3)
    """
    constructor = MODELS[one_of("model", name, MODELS)]
    one_of("dtype", dtype, ("bfloat16", "float32"))
    for option in options:
        one_of(f"option of {name}", option, inspect.signature(constructor).parameters)
    return constructor(classes=classes, dtype=jnp.dtype(dtype), **options)


def initialize(module: nn.Module, key: jax.Array, image_shape: tuple[int, int, int]) -> Variables:
    """Draws initial variables.

    Args:
      module: From `build`.
      key: A PRNG key, consumed.
      image_shape: `(H, W, C)`.

    Returns:
      Parameters, and statistics of mean 0 and variance 1.
    """
    variables = jax.jit(module.init)(key, jnp.zeros((1, *image_shape), jnp.float32))
    return Variables(variables["params"], variables.get("batch_stats", {}))


def bind(module: nn.Module) -> Apply:
    """Turns a module into a pure function that returns the statistics of its batch.

    Any Flax module called as `module(x, train)` serves, if its BatchNorm layers have momentum 0 and it has a field
    `axis_name`.

    Args:
      module: From `build`.

    Returns:
      An `Apply`.
    """

    def apply(
        variables: Variables, images: jax.Array, *, train: bool = False, axis_name: str | None = None
    ) -> tuple[jax.Array, PyTree]:
        collections = {"params": variables.params, "batch_stats": variables.stats}
        mapped = module.clone(axis_name=axis_name)
        if not train:
            return jnp.asarray(mapped.apply(collections, images)), variables.stats
        logits, updated = mapped.apply(collections, images, train=True, mutable=["batch_stats"])
        return jnp.asarray(logits), updated.get("batch_stats", {})

    return apply
