"""Training steps of plain PyTorch on the same networks: images on the device, channels last, autocast, SGD."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import jax
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from torch import nn

from experiments.benchmarks.timing import samples
from experiments.gpu.rows import Case, by_importance, measure_all, quartiles
from experiments.gpu.sizes import LIMIT, ROUNDS, Size, random_setup, speed
from lpjax import data
from lpjax.models.vgg import CONFIGURATION_D

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def run(size: Size, out: Path, limit: float, compiled: bool = False) -> None:
    """Measure the steps that `steps.csv` lacks."""
    jax.config.update("jax_platforms", "cpu")  # JAX only counts FLOPs here, and leaves the device's memory alone
    torch.backends.cudnn.benchmark = True
    device = torch.cuda.get_device_name() if DEVICE == "cuda" else "cpu"
    framework = "PyTorch, compiled" if compiled else "PyTorch"
    about = {"device": device, "version": f"torch {torch.__version__}", "framework": framework}
    axes = by_importance(model=size.models, dtype=size.dtypes, batch=size.batches, steps_per_dispatch=(1,))
    measure_all(out / "steps.csv", [about | case for case in axes], partial(measure, size, compiled), limit)


def measure(size: Size, compiled: bool, case: Case) -> Mapping[str, Any]:
    """Time windows of steps, each until the device has finished."""
    module = network(case["model"], size.width).to(DEVICE, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(module.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
    forward = torch.compile(module) if compiled else module
    images = torch.randint(0, 256, (size.training, size.side, size.side, 3), dtype=torch.uint8, device=DEVICE)
    labels = torch.randint(0, 10, (size.training,), device=DEVICE)
    mean, std = torch.tensor(data.PUBLISHED["cifar10"], device=DEVICE)

    def window() -> None:
        order = torch.randperm(size.training, device=DEVICE)
        for rows in order[: size.window * case["batch"]].split(case["batch"]):
            x = (crop_and_flip(images[rows]) / 255 - mean) / std
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast(DEVICE, torch.bfloat16, enabled=case["dtype"] == "bfloat16"):
                loss = F.cross_entropy(forward(x.permute(0, 3, 1, 2)), labels[rows])
            loss.backward()
            optimizer.step()
        loss.item()  # waits for the device

    measured = quartiles(samples({"window": window}, ROUNDS, LIMIT)["window"], size.window)
    return measured | speed(random_setup(size, case, size.training), case["device"], measured["median_ms"])


def crop_and_flip(images: torch.Tensor, crop: int = 4) -> torch.Tensor:
    """Pad images `[B, H, W, C]` with black, crop them to their size at random, and mirror half of them."""
    count, height, width, _ = images.shape
    padded = F.pad(images, (0, 0, crop, crop, crop, crop))
    top, left = torch.randint(0, 2 * crop + 1, (2, count, 1), device=DEVICE)
    rows = top + torch.arange(height, device=DEVICE)
    columns = left + torch.arange(width, device=DEVICE)
    columns = torch.where(torch.rand(count, 1, device=DEVICE) < 0.5, columns.flip(1), columns)
    return padded[torch.arange(count, device=DEVICE)[:, None, None], rows[:, :, None], columns[:, None, :]]


def network(model: str, width: int = 0) -> nn.Module:
    """Build ResNet-18, VGG-16 or Wide ResNet-28-10 for ten classes, as `lpjax.models` has them."""
    layers: list[nn.Module] = []
    if model == "vgg16":
        channels = 3
        for outputs in CONFIGURATION_D:
            if isinstance(outputs, str):
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [nn.Conv2d(channels, outputs, 3, padding=1), *_norm(outputs)]
                channels = outputs
    elif model == "wide_resnet28_10":
        layers, channels = _residual(16, 160, (4, 4, 4), preactivated=True)
        layers += _norm(channels)
    else:
        layers, channels = _residual(width or 64, width or 64, (2, 2, 2, 2), preactivated=False)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def _residual(stem: int, width: int, stages: tuple[int, ...], preactivated: bool) -> tuple[list[nn.Module], int]:
    layers = [_conv(3, stem)]
    if not preactivated:
        layers += _norm(stem)
    channels = stem
    for stage, blocks in enumerate(stages):
        for i in range(blocks):
            layers.append(_Block(channels, width << stage, 2 if stage and not i else 1, preactivated))
            channels = width << stage
    return layers, channels


class _Block(nn.Module):
    """Two 3x3 convolutions; if preactivated, a norm comes first and none last."""

    def __init__(self, inputs: int, outputs: int, stride: int, preactivated: bool) -> None:
        super().__init__()
        self.first = nn.Sequential(*_norm(inputs)) if preactivated else nn.Identity()
        self.body = nn.Sequential(_conv(inputs, outputs, 3, stride), *_norm(outputs), _conv(outputs, outputs))
        self.shortcut = nn.Sequential()
        self.changes = inputs != outputs or stride > 1
        if self.changes:
            self.shortcut.append(_conv(inputs, outputs, 1, stride))
        self.last = nn.Identity() if preactivated else nn.ReLU()
        if not preactivated:
            self.body.append(nn.BatchNorm2d(outputs))
        if self.changes and not preactivated:
            self.shortcut.append(nn.BatchNorm2d(outputs))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        active = self.first(x)
        return self.last(self.body(active) + (self.shortcut(active) if self.changes else x))


def _conv(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Module:
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)


def _norm(channels: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]
