"""Networks that compile fast, by their import path too: `--config.model=tests.networks:tiny`."""

from functools import partial

from lpjax import models

_slim = models.MODELS["resnet8"]
tiny = partial(_slim.func, (1,), **_slim.keywords)
"""One residual block: a third of the compile time of `resnet8`."""
one_convolution = partial(_slim.func, (), **_slim.keywords)
"""No block at all, where the network is only a vehicle."""
