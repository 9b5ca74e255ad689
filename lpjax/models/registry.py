"""The networks by name, their `apply` functions and initial variables."""

import inspect
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lpjax.choices import one_of
from lpjax.models.custom import CustomModel, custom_model, load_constructor
from lpjax.models.layers import KAIMING_FAN_IN, TORCH, uniform_bias
from lpjax.models.resnet import ResNet
from lpjax.models.vgg import VGG
from lpjax.models.wide_resnet import WideResNet
from lpjax.types import Apply, PyTree, Variables

_slim = partial(ResNet, width=16, shortcut="", conv_init=KAIMING_FAN_IN, head_init=KAIMING_FAN_IN)
_openlth = partial(ResNet, conv_init=KAIMING_FAN_IN, head_init=KAIMING_FAN_IN, scale_init=nn.initializers.uniform(1.0))
_imagenet = partial(_openlth, imagenet_stem=True)
MODELS: dict[str, Callable[..., nn.Module]] = {
    "imagenet_resnet18": partial(_imagenet, (2, 2, 2, 2)),
    "imagenet_resnet34": partial(_imagenet, (3, 4, 6, 3)),
    "imagenet_resnet50": partial(_imagenet, (3, 4, 6, 3), bottleneck=True),
    "openlth_resnet20": partial(_openlth, (3, 3, 3), width=16, shortcut="shortcut", openlth_names=True),
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
"""Constructors by name, with the initializers of the papers' code.

`imagenet_` and `openlth_` networks are those of OpenLTH, `suptickets_` and `wide_` networks those of the sparse
training code, the others those of the CIFAR code.
"""
NAMES = tuple(MODELS)


def build(
    model: str | Callable[..., Any], *, classes: int, dtype: str = "float32", **options: Any
) -> nn.Module | CustomModel:
    """Build a network.

    Args:
      model: One of `MODELS`, or your own Flax module, as a callable or as `'package.module:name'`; see
        `lpjax.models.custom`.
      classes: Number of classes.
      dtype: Dtype of the computation, `'float32'` or `'bfloat16'`; parameters are float32.
      **options: Other fields of the module, e.g. `width`.

    Returns:
      What `bind` and `initialize` take: a Flax module, if it is one of the table.

    Raises:
      UserError: If the name, the dtype or an option is unknown.

    Example:
      >>> build('resnet20', classes=10).stages
      (3, 3, 3)
    """
    one_of("dtype", dtype, ("bfloat16", "float32"))
    options = {"classes": classes, "dtype": jnp.dtype(dtype), **options}
    if callable(model):
        return custom_model(model, options)
    if ":" in model:
        return custom_model(load_constructor(model), options)
    constructor = MODELS[one_of("model", model, MODELS)]
    for option in options:
        one_of(f"option of {model}", option, inspect.signature(constructor).parameters)
    return constructor(**options)


def initialize(module: nn.Module | CustomModel, key: jax.Array, image_shape: tuple[int, int, int]) -> Variables:
    """Initialize the variables of a network.

    Args:
      module: From `build`.
      key: A PRNG key.
      image_shape: `(H, W, C)`.

    Returns:
      Parameters, and batch statistics with mean 0 and variance 1.
    """
    if isinstance(module, CustomModel):
        return module.initialize(key, image_shape)
    images = jnp.zeros((1, *image_shape), jnp.float32)
    if jax.default_backend() == "cpu" and not isinstance(key, jax.core.Tracer):
        variables = _init_on_cpu()(module, key, images)
    else:
        variables = jax.jit(module.init)(key, images)
    return Variables(variables["params"], variables.get("batch_stats", {}))


@cache
def _init_on_cpu() -> Callable[[nn.Module, jax.Array, jax.Array], Any]:
    """Return `init`, compiled in a third of the time by less optimization, to the same bits: it runs once."""
    options = {"xla_backend_optimization_level": 1}
    return jax.jit(lambda module, key, images: module.init(key, images), static_argnums=0, compiler_options=options)


def bind(module: nn.Module | CustomModel) -> Apply:
    """Return the `Apply` function of a network, which returns the statistics of the batch.

    Args:
      module: From `build`, or any Flax module called as `module(x, train)` that has a field `axis_name` and whose
        BatchNorm layers have momentum 0.

    Returns:
      An `Apply`.
    """
    if isinstance(module, CustomModel):
        return module.apply

    def apply(
        variables: Variables, images: jax.Array, *, train: bool = False, axis_name: str | None = None
    ) -> tuple[jax.Array, PyTree]:
        collections = {"params": variables.params, "batch_stats": variables.stats}
        cloned = module.clone(axis_name=axis_name)
        if not train:
            return jnp.asarray(cloned.apply(collections, images)), variables.stats
        logits, updated = cloned.apply(collections, images, train=True, mutable=["batch_stats"])
        return jnp.asarray(logits), updated.get("batch_stats", {})

    return apply
