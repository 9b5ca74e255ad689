"""The paper: its networks and data sets, and what each preset makes of them."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from experiments import keeping
from experiments.options import OWN, Options, Panel, Paper, config_panel
from lpjax.errors import UserError

Panels = Mapping[str, tuple[Panel, ...]]

VGG16 = tuple(config_panel(f"VGG-16, CIFAR-{n}", f"suptickets_cifar{n}_vgg16") for n in (10, 100))
RESNET50 = tuple(config_panel(f"ResNet-50, CIFAR-{n}", f"suptickets_cifar{n}_resnet50") for n in (10, 100))
WIDE = tuple(config_panel(f"WRN-28-10, CIFAR-{n}", f"suptickets_cifar{n}_wide_resnet28_10") for n in (10, 100))
IMAGENET = (config_panel("ResNet-50, ImageNet", "suptickets_imagenet_resnet50"),)
SMALL: Panels = {
    "demo": (config_panel("ResNet-8, digits", "suptickets_digits_resnet8"),),
    "laptop": (config_panel("ResNet-8, CIFAR-10 (JPEG) at 16x16", "suptickets_cifar10_16x16_resnet8"),),
    "cifar": (config_panel("VGG-16, CIFAR-10, 40 epochs", "suptickets_cifar10_vgg16_short"),),
}
"""One network each, which stands for all of the paper's."""

METHODS = {"demo": ("set", "rigl", "granet", "erk", "snip"), "laptop": ("set", "rigl", "granet", "erk")}
"""Where a preset has other methods than the paper's table."""

CIFAR100: Panels = {**SMALL, "paper": (VGG16[1], RESNET50[1])}
"""The networks of the tables and figures that vary one choice."""

PAPER = Paper(
    folder=Path(__file__).parent,
    presets={**SMALL, "paper": (*VGG16, *RESNET50, *WIDE, *IMAGENET)},
    seeds={"demo": (2, 3, 4, 5, 6), "laptop": (0, 1, 2, 3, 4), "cifar": (0, 1, 2), "paper": (0, 1, 2)},
    fields={},
)
main = partial(keeping.main, paper=PAPER)


def panels(options: Options, of: Panels) -> tuple[Panel, ...]:
    """Return the networks that an experiment looks at: those of the preset, or the given work directories."""
    if options.preset == OWN:
        return options.panels
    if options.preset not in of:
        raise UserError(f"there is no network for it in preset {options.preset!r}; give --preset={', '.join(of)}")
    return of[options.preset]


def methods(options: Options, published: Sequence[str]) -> Sequence[str]:
    """Return the methods that the preset runs of the paper's."""
    return METHODS.get(options.preset, published)


def sparsities(options: Options, published: Sequence[float] = (0.95, 0.9, 0.8)) -> Sequence[float]:
    """Return the sparsities that the preset runs of the paper's."""
    return (0.95, 0.9) if options.preset in METHODS else published
