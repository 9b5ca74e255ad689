"""The networks of the PyTorch implementations: their names, layers and order of registration. Needs PyTorch."""

import torch
from torch import nn
from torch.nn import functional

from lpjax import data

CONFIGURATION_D = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")
STAGES = {
    "resnet8": (1, 1, 1),
    "resnet18": (2, 2, 2, 2),
    "resnet20": (3, 3, 3),
    "resnet34": (3, 4, 6, 3),
    "resnet44": (7, 7, 7),
    "resnet50": (3, 4, 6, 3),
    "resnet56": (9, 9, 9),
}


def conv(wide_in, wide_out, size, stride=1, bias=False):
    return nn.Conv2d(wide_in, wide_out, size, stride, size // 2, bias=bias)


class Normalize(nn.Module):
    def __init__(self, dataset):
        super().__init__()
        mean, std = data.PUBLISHED[dataset]
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(self, x):
        return (x - self.mean[:, None, None]) / self.std[:, None, None]


class OptionA(nn.Module):
    def __init__(self, added):
        super().__init__()
        self.added = added

    def forward(self, x):
        return functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.added // 2, self.added // 2))


class Block(nn.Module):
    """A basic block, or a bottleneck with the stride in its 3x3."""

    def __init__(self, wide_in, planes, stride, bottleneck, slim, shortcut="downsample"):
        super().__init__()
        wide_out = 4 * planes if bottleneck else planes
        sizes = ((1, planes, 1), (3, planes, stride), (1, wide_out, 1)) if bottleneck else None
        self.depth = 3 if bottleneck else 2
        channels = wide_in
        for i, (size, out, step) in enumerate(sizes or ((3, planes, stride), (3, planes, 1)), start=1):
            setattr(self, f"conv{i}", conv(channels, out, size, step))
            setattr(self, f"bn{i}", nn.BatchNorm2d(out))
            channels = out
        self.beside = shortcut
        setattr(self, shortcut, nn.Sequential())
        if stride != 1 or wide_in != wide_out:
            projection = nn.Sequential(conv(wide_in, wide_out, 1, stride), nn.BatchNorm2d(wide_out))
            setattr(self, shortcut, OptionA(wide_out - wide_in) if slim else projection)

    def forward(self, x):
        y = x
        for i in range(1, self.depth + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            y = functional.relu(y) if i < self.depth else y
        return functional.relu(y + getattr(self, self.beside)(x))


class ResNet(nn.Module):
    def __init__(self, name, classes, width, dataset):
        super().__init__()
        plain = name.removeprefix("imagenet_").removeprefix("suptickets_")
        self.large, self.stages = name.startswith("imagenet_"), STAGES[plain]
        shortcut, self.head = ("shortcut", "classifier") if name.startswith("suptickets_") else ("downsample", "fc")
        if dataset:
            self.normalize = Normalize(dataset)
        self.conv1 = conv(3, width, 7, 2) if self.large else conv(3, width, 3)
        self.bn1 = nn.BatchNorm2d(width)
        channels = width
        for i, blocks in enumerate(self.stages):
            row = []
            for j in range(blocks):
                bottleneck, slim = plain == "resnet50", len(self.stages) == 3
                row.append(Block(channels, width << i, 2 if i and not j else 1, bottleneck, slim, shortcut))
                channels = (width << i) * (4 if bottleneck else 1)
            setattr(self, f"layer{i + 1}", nn.Sequential(*row))
        setattr(self, self.head, nn.Linear(channels, classes, bias=self.head == "fc"))

    def forward(self, x):
        x = functional.relu(self.bn1(self.conv1(self.normalize(x) if hasattr(self, "normalize") else x)))
        x = functional.max_pool2d(x, 3, 2, 1) if self.large else x
        for i in range(len(self.stages)):
            x = getattr(self, f"layer{i + 1}")(x)
        return getattr(self, self.head)(x.mean((2, 3)))


class OpenLTH(nn.Module):
    """OpenLTH's `cifar_resnet_20`."""

    def __init__(self, classes, width=16):
        super().__init__()
        self.conv, self.bn = conv(3, width, 3), nn.BatchNorm2d(width)
        blocks, channels = [], width
        for stage in range(3):
            for i in range(3):
                blocks.append(Block(channels, width << stage, 2 if stage and not i else 1, False, False, "shortcut"))
                channels = width << stage
        self.blocks, self.fc = nn.Sequential(*blocks), nn.Linear(channels, classes)

    def forward(self, x):
        return self.fc(self.blocks(functional.relu(self.bn(self.conv(x)))).mean((2, 3)))


class PreactivationBlock(nn.Module):
    """A shortcut that changes shape starts from the activation, any other from the input."""

    def __init__(self, wide_in, wide_out, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(wide_in), conv(wide_in, wide_out, 3, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(wide_out), conv(wide_out, wide_out, 3)
        self.convShortcut = conv(wide_in, wide_out, 1, stride) if wide_in != wide_out else None

    def forward(self, x):
        active = functional.relu(self.bn1(x))
        y = self.conv2(functional.relu(self.bn2(self.conv1(active))))
        return y + (self.convShortcut(active) if self.convShortcut else x)


class WideResNet(nn.Module):
    def __init__(self, classes, depth=28, widen=10):
        super().__init__()
        self.conv1, channels = conv(3, 16, 3), 16
        for group in range(3):
            row = []
            for i in range((depth - 4) // 6):
                row.append(PreactivationBlock(channels, 16 * widen << group, 2 if group and not i else 1))
                channels = 16 * widen << group
            setattr(self, f"block{group + 1}", nn.Sequential())
            getattr(self, f"block{group + 1}").add_module("layer", nn.Sequential(*row))
        self.bn1, self.fc = nn.BatchNorm2d(channels), nn.Linear(channels, classes)

    def forward(self, x):
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.fc(functional.relu(self.bn1(x)).mean((2, 3)))


class VGG(nn.Module):
    def __init__(self, classes, dataset, hidden=0):
        super().__init__()
        layers, channels = [], 3
        for width in CONFIGURATION_D:
            if width == "M":
                layers.append(nn.MaxPool2d(2))
                continue
            layers += [conv(channels, width, 3, bias=True), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, classes)
        if hidden:
            norm, last = nn.BatchNorm1d(hidden), nn.Linear(hidden, classes)
            self.classifier = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), norm, last)
        if dataset:
            self.normalize = Normalize(dataset)

    def forward(self, x):
        x = self.features(self.normalize(x) if hasattr(self, "normalize") else x)
        return self.classifier(x.mean((2, 3)))


class Wrapped(nn.Module):
    """As the ImageNet code holds torchvision's network."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x)


def build(name, *, classes=10, width=0, dataset="cifar10"):
    """The CIFAR networks with their normalization; those of sparse training without; ImageNet's without, wrapped."""
    if name == "vgg16":
        return VGG(classes, dataset)
    if name == "suptickets_vgg16":
        return VGG(classes, None, hidden=512)
    if name == "suptickets_resnet50":
        return ResNet(name, classes, width or 64, None)
    if name == "openlth_resnet20":
        return OpenLTH(classes)
    if name == "wide_resnet28_10":
        return WideResNet(classes)
    if name.startswith("imagenet_"):
        return Wrapped(ResNet(name, classes, width or 64, None))
    return ResNet(name, classes, width or (16 if len(STAGES[name]) == 3 else 64), dataset)
