"""Channel graphs of the registered networks."""

import flax.linen as nn

from lpjax.models.resnet import ResNet
from lpjax.models.vgg import VGG
from lpjax.models.wide_resnet import WideResNet
from lpjax.sparsity import Axis, BatchNorm, ChannelGroup, Writer
from lpjax.sparsity.channels import Step

Stream = dict[str, tuple[int, ...] | None]
"""The groups that share a residual stream, and where on its axis each lies; None if one fills it."""


def channels(module: nn.Module) -> dict[str, ChannelGroup]:
    """Build the channel graph of a ResNet, VGG or WideResNet, for its `Variables`.

    Groups are named by the layer that computes them, such as `'layer1_0/conv1'`; residual streams are called
    `'stream1'`, `'stream2'` and so on. `module.clone(widths=...)` overrides the sizes of the prunable groups.

    Args:
      module: From `build`.

    Returns:
      Groups by name.

    Raises:
      TypeError: If the network is another, whose graph is not known.

    Example:
      >>> from lpjax.models import build
      >>> list(channels(build('resnet8', classes=10)))
      ['stream1', 'layer1_0/conv1', 'layer2_0/conv1', 'stream2', 'layer3_0/conv1', 'stream3', 'fc']
    """
    if isinstance(module, ResNet):
        return _resnet(module)
    if isinstance(module, VGG):
        return _vgg(module)
    if isinstance(module, WideResNet):
        return _wide_resnet(module)
    raise TypeError(f"module: got {type(module).__name__}, expected a ResNet, VGG or WideResNet; write its graph")


class _Graph:
    """A graph while it is built."""

    def __init__(self) -> None:
        self.writers: dict[str, list[Writer]] = {}
        self.readers: dict[str, list[Axis]] = {}
        self.others: dict[str, list[Axis]] = {}
        self.whole: set[str] = set()

    def write(self, groups: Stream, layer: str, then: tuple[Step, ...], axis: int = 3) -> None:
        """Add a kernel that writes to groups, with the steps after it."""
        for group, index in groups.items():
            self.writers.setdefault(group, []).append(Writer(f"params/{layer}/kernel", axis, then, index))

    def read(self, groups: Stream, layer: str, axis: int = 2) -> None:
        """Add a kernel that reads groups."""
        for group, index in groups.items():
            self.readers.setdefault(group, []).append(Axis(f"params/{layer}/kernel", axis, index))

    def normalize(self, groups: Stream, norm: BatchNorm) -> None:
        """Add a BatchNorm that reads groups."""
        for group, index in groups.items():
            for leaf in (norm.mean, norm.var, norm.scale, norm.bias):
                if leaf is not None:
                    self.others.setdefault(group, []).append(Axis(leaf, 0, index))

    def head(self, layer: str, bias: bool = True) -> None:
        """Add the classifier, whose outputs are kept whole."""
        self.write({layer: None}, layer, (f"params/{layer}/bias",) if bias else (), axis=1)
        self.whole.add(layer)

    def build(self) -> dict[str, ChannelGroup]:
        groups = {}
        for name, writers in self.writers.items():
            readers = tuple(self.readers.get(name, ()))
            others = tuple(self.others.get(name, ()))
            groups[name] = ChannelGroup(tuple(writers), readers, others, prunable=name not in self.whole)
        return groups


def _norm(layer: str) -> BatchNorm:
    return BatchNorm(
        f"stats/{layer}/mean", f"stats/{layer}/var", f"params/{layer}/scale", f"params/{layer}/bias", epsilon=1e-5
    )


def _resnet(module: ResNet) -> dict[str, ChannelGroup]:
    graph = _Graph()
    number = "" if module.openlth_names else "1"
    stem = f"conv{number}"
    growth = 4 if module.bottleneck else 1
    size = module.width
    stream: Stream = {stem if module.bottleneck else "stream1": None}
    if not module.bottleneck or not module.shortcut:  # else the first block projects the stem: it is no stream
        graph.whole.update(stream)
    graph.write(stream, stem, (_norm(f"bn{number}"), nn.relu))
    for stage, blocks in enumerate(module.stages):
        for i in range(blocks):
            block = f"layer{stage + 1}_{i}"
            if module.openlth_names:
                block = f"blocks_{sum(module.stages[:stage]) + i}"
            source = stream
            outputs = growth * module.width << stage
            if size != outputs and module.shortcut:
                stream = {f"stream{stage + 1}": None}
            elif size != outputs:
                stream = _padded(stream, size, outputs, new=f"stream{stage + 1}")
            graph.whole.update(stream)
            inner: Stream = source
            for convolution in range(1, 3 if module.bottleneck else 2):
                layer = f"{block}/conv{convolution}"
                graph.read(inner, layer)
                inner = {layer: None}
                graph.write(inner, layer, (_norm(f"{block}/bn{convolution}"), nn.relu))
            last = 3 if module.bottleneck else 2
            graph.read(inner, f"{block}/conv{last}")
            graph.write(stream, f"{block}/conv{last}", (_norm(f"{block}/bn{last}"),))
            if size != outputs and module.shortcut:
                graph.read(source, f"{block}/{module.shortcut}_0")
                graph.write(stream, f"{block}/{module.shortcut}_0", (_norm(f"{block}/{module.shortcut}_1"),))
            size = outputs
    graph.read(stream, module.head, axis=0)
    graph.head(module.head, module.head_bias)
    return graph.build()


def _padded(stream: Stream, size: int, outputs: int, new: str) -> Stream:
    """Embed a stream between new channels on both sides, as `pad_shortcut` does."""
    side = (outputs - size) // 2
    embedded: Stream = {}
    for name, index in stream.items():
        embedded[name] = tuple(side + i for i in (range(size) if index is None else index))
    embedded[new] = (*range(side), *range(side + size, outputs))
    return embedded


def _vgg(module: VGG) -> dict[str, ChannelGroup]:
    graph = _Graph()
    previous: Stream = {}
    i = 0
    for channels in module.layers:
        if isinstance(channels, str):
            i += 1
            continue
        layer = f"features_{i}"
        graph.read(previous, layer)
        previous = {layer: None}
        graph.write(previous, layer, (f"params/{layer}/bias", _norm(f"features_{i + 1}"), nn.relu))
        i += 3
    last = "classifier"
    if module.hidden:
        layer = "classifier_0"
        graph.read(previous, layer, axis=0)
        previous = {layer: None}
        graph.write(previous, layer, (f"params/{layer}/bias", nn.relu, _norm("classifier_2")), axis=1)
        last = "classifier_3"
    graph.read(previous, last, axis=0)
    graph.head(last)
    return graph.build()


def _wide_resnet(module: WideResNet) -> dict[str, ChannelGroup]:
    graph = _Graph()
    size = 16
    projects_stem = module.widen != 1  # then the stem is not part of a residual stream
    stream: Stream = {"conv1" if projects_stem else "stream1": None}
    graph.write(stream, "conv1", (_norm("block1_layer_0/bn1"), nn.relu) if projects_stem else ())
    if not projects_stem:
        graph.normalize(stream, _norm("block1_layer_0/bn1"))
        graph.whole.update(stream)
    for group in range(3):
        for i in range((module.depth - 4) // 6):
            block = f"block{group + 1}_layer_{i}"
            source = stream
            outputs = 16 * module.widen << group
            if group or i:
                graph.normalize(source, _norm(f"{block}/bn1"))
            if size != outputs:
                stream = {f"stream{group + 1}": None}
                graph.whole.update(stream)
                graph.read(source, f"{block}/convShortcut")
                graph.write(stream, f"{block}/convShortcut", ())
            graph.read(source, f"{block}/conv1")
            inner: Stream = {f"{block}/conv1": None}
            graph.write(inner, f"{block}/conv1", (_norm(f"{block}/bn2"), nn.relu))
            graph.read(inner, f"{block}/conv2")
            graph.write(stream, f"{block}/conv2", ())
            size = outputs
    graph.normalize(stream, _norm("bn1"))
    graph.read(stream, "fc", axis=0)
    graph.head("fc")
    return graph.build()
