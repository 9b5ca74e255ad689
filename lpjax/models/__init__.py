"""Flax networks. Other packages use only an `apply` function and `Variables`.

Read `registry` first, which lists the networks by name, then an architecture (`resnet`, `vgg`, `wide_resnet`) with the
`layers` that all share; `graph` has their channel graphs, `custom` makes networks of any other Flax module.
"""

from lpjax.models.graph import channels
from lpjax.models.registry import MODELS, NAMES, bind, build, initialize
from lpjax.models.resnet import ResNet
from lpjax.models.vgg import VGG
from lpjax.models.wide_resnet import WideResNet

__all__ = ["MODELS", "NAMES", "VGG", "ResNet", "WideResNet", "bind", "build", "channels", "initialize"]
