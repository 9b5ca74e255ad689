"""Which runs an experiment looks at: a preset's, or those of work directories that are there already."""

import argparse
import importlib.util
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from ml_collections import ConfigDict

from lpjax.run import run
from lpjax.run.evaluate import evaluate_seed, gather, load_right, networks
from lpjax.run.job import Job
from lpjax.run.pool import Search, build_pools
from lpjax.store import Result, paths

ROOT = Path(__file__).parents[2]
NO_REWINDING = "0it"


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
ONE_NETWORK = {"paper": 1}
"""Where the paper shows one network of its four, ResNet-18 on CIFAR-100."""


class Options(NamedTuple):
    """What the command line asks for.

    Attributes:
      preset: Its name, or 'own' for given work directories.
      panels: What to look at.
      seeds: Replicates.
      overrides: Fields of every config, changed.
      runs: Where the preset's work directories lie.
      out: Where figures and tables go, each experiment in a folder of its own.
      keep: Whether they go to the experiment's own folder and README instead.
    """

    preset: str
    panels: tuple[Panel, ...]
    seeds: tuple[int, ...]
    overrides: tuple[tuple[str, Any], ...]
    runs: Path
    out: Path
    keep: bool

    def one(self) -> Panel:
        """Gives the panel of the figures that have but one."""
        return self.panels[ONE_NETWORK.get(self.preset, 0)]


def options(argv: Sequence[str], about: str | None) -> Options:
    """Reads the command line.

    Args:
      argv: Its arguments.
      about: What the experiment is, for --help.

    Returns:
      The options; a mistake ends the program with one line.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="demo", help="what to run (default: demo)")
    parser.add_argument("--workdir", type=Path, action="append", help="look at this finished run instead; may repeat")
    parser.add_argument("--seeds", default="0,1,2", help="replicates (default: 0,1,2)")
    parser.add_argument("--data_dir", default="", help="where TFDS directories lie (default: TFDS's own)")
    parser.add_argument("--corruptions_dir", default="", help="where published corrupted images lie, as .npy files")
    parser.add_argument("--runs", type=Path, default=Path("runs/lottery_pools"), help="where a preset's runs lie")
    parser.add_argument("--out", type=Path, default=Path("runs/lottery_pools/figures"), help="where figures go")
    parser.add_argument("--keep", action="store_true", help="put them into this experiment's folder and README")
    given = parser.parse_args(argv)
    panels = PRESETS[given.preset]
    if given.workdir:
        if missing := [str(d) for d in given.workdir if not paths.config(d).exists()]:
            parser.error(f"no run lies in {missing[0]}; give a work directory that python -m lpjax.main has made")
        panels = tuple(Panel(_title(workdir), workdir) for workdir in given.workdir)
    try:
        seeds = tuple(int(seed) for seed in given.seeds.split(","))
    except ValueError:
        parser.error(f"seeds are {given.seeds!r}; give integers such as 0,1,2")
    overrides = {"data_dir": given.data_dir, "corruptions.dir": given.corruptions_dir}
    name = "own" if given.workdir else given.preset
    chosen = tuple((field, value) for field, value in overrides.items() if value)
    return Options(name, panels, seeds, chosen, given.runs, given.out / name, given.keep)


class Run(NamedTuple):
    """Tickets that are there.

    Attributes:
      title: Of their panel.
      job: Network and data.
      workdir: Where they lie.
      seeds: Replicates.
      levels: Tickets a seed.
    """

    title: str
    job: Job
    workdir: Path
    seeds: tuple[int, ...]
    levels: int

    def build(self, searches: Mapping[str, Search]) -> None:
        """Builds and evaluates pools, those that are not there yet."""
        for seed in self.seeds:
            build_pools(self.job, self.workdir, seed, searches)
            evaluate_seed(self.job, self.workdir, seed, tuple(searches))

    def results(self, methods: Sequence[str]) -> pd.DataFrame:
        """Reads what was measured of tickets and pools."""
        rows = gather(self.workdir, self.seeds, self.levels, methods)
        return pd.DataFrame(rows, columns=list(Result._fields))

    def right(self, methods: Sequence[str]) -> dict[tuple[str, int, int], np.ndarray]:
        """Reads which test images every network classifies rightly, by method, seed and level."""
        images = len(self.job.test.labels)
        return {
            (network.method, seed, network.level): load_right(network.directory, images)
            for seed in self.seeds
            for network in networks(self.workdir, seed, self.levels, methods)
        }


def tickets(options: Options, panel: Panel, rewind: str = "") -> Run:
    """Finds a panel's tickets, or those of its twin that rewinds elsewhere; what is done already is left alone.

    Args:
      options: Seeds, and where runs lie.
      panel: Which.
      rewind: Where to rewind to, if not where the config says.

    Returns:
      The run.
    """
    return _tickets(panel, rewind, options.seeds, options.overrides, options.runs)


@cache
def _tickets(
    panel: Panel, rewind: str, seeds: tuple[int, ...], overrides: tuple[tuple[str, Any], ...], runs: Path
) -> Run:
    config = config_of(panel)
    config.seeds = seeds
    config.pool.methods = ()
    config.update_from_flattened_dict(dict(overrides))
    workdir = panel.source if panel.source.is_dir() else runs / panel.source.stem
    if rewind:
        config.imp.rewind = rewind
        workdir = workdir.with_name(f"{workdir.name}_{rewind}")
    return Run(panel.title, run(config, workdir), workdir, seeds, config.imp.levels)


def config_of(panel: Panel) -> ConfigDict:
    """Loads the config of a panel.

    Args:
      panel: Which.

    Returns:
      Its config, to be changed.
    """
    if panel.source.is_dir():
        return _as_tuples(json.loads(paths.config(panel.source).read_text()))
    spec: Any = importlib.util.spec_from_file_location(panel.source.stem, panel.source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config()


def _as_tuples(config: dict[str, Any]) -> ConfigDict:
    """Undoes JSON, which knows lists alone."""
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}
    return ConfigDict({name: _as_tuples(v) if isinstance(v, dict) else v for name, v in plain.items()})


def _title(workdir: Path) -> str:
    config = json.loads(paths.config(workdir).read_text())
    return f"{config['model']}, {config['dataset']}"
