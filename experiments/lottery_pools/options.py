"""What an experiment looks at: a preset's networks, or work directories that are there already."""

import argparse
import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from ml_collections import ConfigDict

from lpjax.run import default_config
from lpjax.store import paths

ROOT = Path(__file__).parents[2]


class Panel(NamedTuple):
    """One network and data set: a panel of the paper's figures.

    Attributes:
      title: For people.
      source: A file of configs/, or a work directory.
    """

    title: str
    source: Path


def _panel(title: str, config: str) -> Panel:
    return Panel(title, ROOT / "configs" / f"{config}.py")


PRESETS = {
    "demo": (_panel("ResNet-8, digits", "digits_resnet8"),),
    "laptop": (_panel("ResNet-20, 2,000 images of CIFAR-10", "cifar10_resnet20_cpu"),),
    "cifar": (_panel("ResNet-18, CIFAR-10, 20 epochs", "cifar10_resnet18_short"),),
    "paper": (
        _panel("VGG-16, CIFAR-100", "cifar100_vgg16"),
        _panel("ResNet-18, CIFAR-100", "cifar100_resnet18"),
        _panel("VGG-16, CIFAR-10", "cifar10_vgg16"),
        _panel("ResNet-18, CIFAR-10", "cifar10_resnet18"),
    ),
}
OWN, SEEDS = "own", (0, 1, 2)
ONE_NETWORK = {"paper": 1}
"""Where the paper shows one network of its four, ResNet-18 on CIFAR-100."""


class Options(NamedTuple):
    """What the command line asks for.

    Attributes:
      preset: Its name, or 'own' for given work directories.
      panels: What to look at.
      seeds: Replicates; None stands for those that a given work directory has.
      overrides: Fields of every config, changed.
      runs: Where the preset's work directories lie.
      out: Where figures and tables go, each experiment in a folder of its own.
      keep: Whether they go to the experiment's own folder and README instead.
    """

    preset: str
    panels: tuple[Panel, ...]
    seeds: tuple[int, ...] | None
    overrides: tuple[tuple[str, Any], ...]
    runs: Path
    out: Path
    keep: bool

    def one(self) -> Panel:
        """Gives the panel of the figures that have but one."""
        if self.preset == OWN and len(self.panels) > 1:
            raise ValueError(f"this figure shows one run, but {len(self.panels)} are given; give one --workdir")
        return self.panels[ONE_NETWORK.get(self.preset, 0)]


def options(argv: Sequence[str], about: str | None) -> Options:
    """Reads the command line.

    Args:
      argv: Its arguments.
      about: What the experiment is, for --help.

    Returns:
      The options.

    Raises:
      ValueError: On a user's mistake, in one line.
    """
    parser = _OneLineParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, help="what to run (default: demo)")
    parser.add_argument("--workdir", type=Path, action="append", help="look at this run instead; may repeat")
    parser.add_argument("--seeds", help="replicates (default: 0,1,2, or all that a --workdir has)")
    parser.add_argument("--data_dir", help="where TFDS directories lie (default: TFDS's own)")
    parser.add_argument("--corruptions_dir", help="where published corrupted images lie, as .npy files")
    parser.add_argument("--runs", type=Path, default=Path("runs/lottery_pools"), help="where a preset's runs lie")
    parser.add_argument("--out", type=Path, default=Path("runs/lottery_pools/figures"), help="where figures go")
    parser.add_argument("--keep", action="store_true", help="put them into this experiment's folder and README")
    given = parser.parse_args(argv)
    if given.workdir and (given.preset or given.keep):
        raise ValueError("--workdir looks at runs of your own; leave out --preset and --keep")
    seeds = None if given.seeds is None else _seeds(given.seeds)
    overrides = {"data_dir": given.data_dir, "corruptions.dir": given.corruptions_dir}
    chosen = tuple((field, value) for field, value in overrides.items() if value is not None)
    if given.workdir:
        panels = tuple(own(workdir, seeds) for workdir in given.workdir)
        return Options(OWN, panels, seeds, chosen, given.runs, given.out / OWN, False)
    preset = given.preset or "demo"
    return Options(preset, PRESETS[preset], seeds or SEEDS, chosen, given.runs, given.out / preset, given.keep)


def _seeds(text: str) -> tuple[int, ...]:
    if not all(seed.isdigit() for seed in text.split(",")):
        raise ValueError(f"seeds are {text!r}; give integers such as 0,1,2")
    return tuple(int(seed) for seed in text.split(","))


def own(workdir: Path, seeds: tuple[int, ...] | None) -> Panel:
    """Makes a panel of a work directory.

    Args:
      workdir: A run's.
      seeds: Those to look at; None for all.

    Returns:
      The panel.

    Raises:
      ValueError: If no run lies there, or it lacks a seed.
    """
    if not paths.config(workdir).exists():
        raise ValueError(f"no run lies in {workdir}; give a work directory that python -m lpjax.main has made")
    config = json.loads(paths.config(workdir).read_text())
    if absent := sorted(set(seeds or ()) - set(config["seeds"])):
        raise ValueError(f"{workdir} has no seed {absent[0]}; it has {', '.join(map(str, config['seeds']))}")
    return Panel(f"{workdir.name}: {config['model']}, {config['dataset']}", workdir)


class _OneLineParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


def config_of(panel: Panel) -> ConfigDict:
    """Loads the config of a panel.

    Args:
      panel: Which.

    Returns:
      Its config, to be changed.
    """
    if panel.source.is_dir():
        config = default_config()
        config.update(_as_tuples(json.loads(paths.config(panel.source).read_text())))
        return config
    spec: Any = importlib.util.spec_from_file_location(panel.source.stem, panel.source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config()


def _as_tuples(config: dict[str, Any]) -> ConfigDict:
    """Undoes JSON, which knows lists alone."""
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}
    return ConfigDict({name: _as_tuples(v) if isinstance(v, dict) else v for name, v in plain.items()})
