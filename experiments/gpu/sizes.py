"""How much is measured, and the setup of a run on random images of that size."""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from lpjax.data.sources import IN_MEMORY, Split
from lpjax.run import Setup, default_config, prepare
from lpjax.run.config import resolve
from lpjax.run.setup import network_flops
from lpjax.types import Batch

ROUNDS = 10
"""Times that are taken of a case."""
LIMIT = 15.0
"""Seconds after which fewer are taken, but three at least."""
PEAK = {
    "H100 80GB HBM3": (989e12, 495e12),
    "H200": (989e12, 495e12),
    "A100": (312e12, 156e12),
    "V100": (125e12, 15.7e12),
}
"""FLOP/s in bfloat16 (V100: float16) and in float32, by a part of the device's name. float32 is JAX's default precision
there: TF32, but on V100, which lacks it."""


class Size(NamedTuple):
    """How much is measured; by default, all."""

    models: tuple[str, ...] = ("resnet18", "vgg16", "wide_resnet28_10")
    model: str = "resnet18"  # of pools and sparse training
    width: int = 0  # of networks; 0 for their own
    side: int = 32  # of images
    images: int = 50_000  # a tenth of them for validation
    dtypes: tuple[str, ...] = ("bfloat16", "float32")
    batches: tuple[int, ...] = (128, 512)
    dispatches: tuple[int, ...] = (64, 1, 8)  # steps per dispatch
    window: int = 64  # steps that are timed together
    searches: int | None = None  # at most

    @property
    def training(self) -> int:
        """Images of an epoch: a number of windows for every batch size, so that all steps are alike."""
        return self.window * max(self.batches)


FULL = Size()
SMALLEST = Size(
    models=("resnet18",),
    model="resnet8",
    width=4,
    side=8,
    images=100,
    dtypes=("float32",),
    batches=(16,),
    dispatches=(1, 2),
    window=2,
    searches=5,
)


def where() -> dict[str, str]:
    """Name the device and the version of JAX, as rows do."""
    return {"device": " ".join(jax.devices()[0].device_kind.split()), "version": f"jax {jax.__version__}"}


def random_setup(size: Size, case: Mapping[str, Any], training: int, **settings: Any) -> Setup:
    """Prepare a run on so many random training images: what `lpjax.run` computes with."""
    validation = size.images // 10
    config = default_config()
    config.update_from_flattened_dict({"dataset": "random", "width": size.width, "validation": validation})
    config.update_from_flattened_dict({name: case[name] for name in ("model", "dtype")})
    config.update_from_flattened_dict({"train.batch_size": case["batch"], **settings})
    IN_MEMORY["random"] = partial(_random, size.side, training + validation)
    return prepare(resolve(config))


def speed(setup: Setup, device: str, milliseconds: float) -> dict[str, float | None]:
    """Compute images/s of a step, and the share of the device's peak; None if the device is unknown."""
    network = setup.network
    forward = sum(jax.tree.leaves(network_flops(network.apply, network.like, setup.data.shape)))
    images = 1000 * setup.config.train.batch_size / milliseconds
    # The backward pass has twice the FLOPs of the forward pass.
    share = share_of_peak(device, setup.config.dtype, 3 * forward * images)
    return {"images_per_s": round(images, 1), "share_of_peak": share}


def share_of_peak(device: str, dtype: str, flops: float) -> float | None:
    """Divide FLOP/s by the device's peak.

    Example:
      >>> share_of_peak('NVIDIA H100 80GB HBM3', 'bfloat16', 98.9e12), share_of_peak('cpu', 'float32', 1e12)
      (0.1, None)
    """
    for name, (bfloat16, float32) in PEAK.items():
        if name in device:
            return flops / (bfloat16 if dtype == "bfloat16" else float32)
    return None


def _random(side: int, count: int) -> tuple[Split, Split]:
    draw = np.random.default_rng(0)
    images: Any = draw.integers(0, 256, (count, side, side, 3), np.uint8)
    labels: Any = draw.integers(0, 10, count, np.int32)

    def read(start: int, stop: int) -> Batch:
        return Batch(images[start:stop], labels[start:stop])

    return Split(count, 10, read), Split(1, 10, read)
