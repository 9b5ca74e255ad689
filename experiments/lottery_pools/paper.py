"""The paper: its presets, and the network of the figures that show but one."""

from functools import partial
from pathlib import Path

from experiments import keeping
from experiments.options import OWN, Options, Panel, Paper, config_panel
from lpjax.errors import UserError

PRESETS = {
    "demo": (config_panel("ResNet-8, digits", "digits_resnet8"),),
    "laptop": (config_panel("ResNet-8, CIFAR-10 (JPEG) at 16x16", "cifar10_16x16_resnet8"),),
    "cifar": (config_panel("ResNet-18, CIFAR-10, 20 epochs", "cifar10_resnet18_short"),),
    "paper": (
        config_panel("VGG-16, CIFAR-100", "cifar100_vgg16"),
        config_panel("ResNet-18, CIFAR-100", "cifar100_resnet18"),
        config_panel("VGG-16, CIFAR-10", "cifar10_vgg16"),
        config_panel("ResNet-18, CIFAR-10", "cifar10_resnet18"),
    ),
}
ONE_NETWORK = {"paper": 1}
"""Where the paper shows one network of its four, ResNet-18 on CIFAR-100."""

PAPER = Paper(
    folder=Path(__file__).parent,
    presets=PRESETS,
    seeds={"demo": (0, 1, 2, 3, 4, 5, 6, 8, 9, 12), "laptop": (0, 1, 2, 3, 4), "cifar": (0, 1, 2), "paper": (0, 1, 2)},
    fields={"corruptions_dir": ("corruptions.dir", "where published corrupted images lie, as .npy files")},
)
main = partial(keeping.main, paper=PAPER)


def one(options: Options) -> Panel:
    """Return the panel of the figures that have but one; refuse several work directories."""
    if options.preset == OWN and len(options.panels) > 1:
        raise UserError(f"this figure shows one run, but {len(options.panels)} are given; give one --workdir")
    return options.panels[ONE_NETWORK.get(options.preset, 0)]
