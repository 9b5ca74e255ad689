"""Flax networks. Other packages use only an `apply` function and `Variables`.

`registry` lists the networks by name; `layers` has what the architectures share.
"""

from lpjax.models.registry import MODELS, NAMES, bind, build, initialize
from lpjax.models.resnet import ResNet
from lpjax.models.vgg import VGG
from lpjax.models.wide_resnet import WideResNet

__all__ = ["MODELS", "NAMES", "VGG", "ResNet", "WideResNet", "bind", "build", "initialize"]
