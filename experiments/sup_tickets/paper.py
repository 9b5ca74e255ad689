"""The paper: its networks and data sets, and what each preset makes of them."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from experiments import keeping
from experiments.options import OWN, Options, Panel, Paper, config_panel

Panels = Mapping[str, tuple[Panel, ...]]

VGG16 = tuple(config_panel(f"VGG-16, CIFAR-{n}", f"suptickets_cifar{n}_vgg16") for n in (10, 100))
RESNET50 = tuple(config_panel(f"ResNet-50, CIFAR-{n}", f"suptickets_cifar{n}_resnet50") for n in (10, 100))
WIDE = tuple(config_panel(f"WRN-28-10, CIFAR-{n}", f"suptickets_cifar{n}_wide_resnet28_10") for n in (10, 100))
IMAGENET = (config_panel("ResNet-50, ImageNet", "suptickets_imagenet_resnet50"),)
SMALL: Panels = {
    "demo": (config_panel("ResNet-8, digits", "suptickets_digits_resnet8"),),
    "cifar": (config_panel("VGG-16, CIFAR-10, 40 epochs", "suptickets_cifar10_vgg16_short"),),
}
"""One network each, which stands for all of the paper's."""

PAPER = Paper(
    folder=Path(__file__).parent,
    presets={**SMALL, "paper": (*VGG16, *RESNET50, *WIDE, *IMAGENET)},
    seeds={"demo": (2, 3, 4, 5, 6), "cifar": (0, 1, 2), "paper": (0, 1, 2)},
    fields={},
)
main = partial(keeping.main, paper=PAPER)

METHODS = {"demo": ("set", "rigl", "granet", "erk", "snip")}
SPARSITIES = {"demo": (0.95, 0.9)}
"""What a preset runs of the paper's methods and sparsities, where it is not what the table has."""


def panels(options: Options, of: Panels) -> tuple[Panel, ...]:
    """Gives the networks that an experiment looks at.

    Args:
      options: What was asked for.
      of: The experiment's, by preset.

    Returns:
      Those of the preset, or the given work directories.

    Raises:
      ValueError: If the preset has no network for it.
    """
    if options.preset == OWN:
        return options.panels
    if options.preset not in of:
        raise ValueError(f"there is no network for it in preset {options.preset!r}; give --preset={', '.join(of)}")
    return of[options.preset]


def by_preset(options: Options, of: Mapping[str, Sequence], published: Sequence) -> Sequence:
    """Gives what a preset changes, else what the paper has.

    Args:
      options: What was asked for.
      of: By preset.
      published: The paper's.

    Returns:
      The choice.
    """
    return of.get(options.preset, published)
