"""What an experiment looks at: a preset's networks, or work directories that are there already."""

import argparse
import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from ml_collections import ConfigDict

from lpjax.run import default_config
from lpjax.run.config import with_new_names
from lpjax.store import paths

ROOT = Path(__file__).parents[1]
OWN = "own"
DATA = {"data_dir": ("data_dir", "where TFDS directories lie (default: TFDS's own)")}


class Panel(NamedTuple):
    """One network and data set: a panel of a paper's figures.

    Attributes:
      title: For people.
      source: A file of configs/, or a work directory.
    """

    title: str
    source: Path


class Paper(NamedTuple):
    """A paper whose figures and tables lie in one folder.

    Attributes:
      folder: Of experiments/; its name is that of the preset's runs under runs/ too.
      presets: What to look at, by name; the first is the default.
      seeds: Replicates, by preset.
      fields: Further options of the command line: the config's field, and help.
    """

    folder: Path
    presets: Mapping[str, tuple[Panel, ...]]
    seeds: Mapping[str, tuple[int, ...]]
    fields: Mapping[str, tuple[str, str]]


class Options(NamedTuple):
    """What the command line asks for.

    Attributes:
      paper: Whose experiments.
      preset: Its name, or 'own' for given work directories.
      panels: What to look at.
      seeds: Replicates; None stands for those that a given work directory has.
      overrides: Fields of every config, changed.
      runs: Where the preset's work directories lie.
      out: Where figures and tables go, each experiment in a folder of its own.
      keep: Whether they go to the experiment's own folder and README instead.
    """

    paper: Paper
    preset: str
    panels: tuple[Panel, ...]
    seeds: tuple[int, ...] | None
    overrides: tuple[tuple[str, Any], ...]
    runs: Path
    out: Path
    keep: bool


def config_panel(title: str, config: str) -> Panel:
    """Makes a panel of a file of configs/.

    Args:
      title: For people.
      config: The file's name, without its ending.

    Returns:
      The panel.
    """
    return Panel(title, ROOT / "configs" / f"{config}.py")


def options(argv: Sequence[str], about: str | None, paper: Paper) -> Options:
    """Reads the command line.

    Args:
      argv: Its arguments.
      about: What the experiment is, for --help.
      paper: Whose it is.

    Returns:
      The options.

    Raises:
      ValueError: On a user's mistake, in one line.
    """
    default, runs = next(iter(paper.presets)), Path("runs") / paper.folder.name
    fields = DATA | dict(paper.fields)
    parser = _OneLineParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=paper.presets, help=f"what to run (default: {default})")
    parser.add_argument("--workdir", type=Path, action="append", help="look at this run instead; may repeat")
    seeds = ",".join(map(str, paper.seeds[default]))
    parser.add_argument("--seeds", help=f"replicates (default: {seeds} of {default}, or all that a --workdir has)")
    for name, (_, what) in fields.items():
        parser.add_argument(f"--{name}", help=what)
    parser.add_argument("--runs", type=Path, default=runs, help="where a preset's runs lie")
    parser.add_argument("--out", type=Path, default=runs / "figures", help="where figures go")
    parser.add_argument("--keep", action="store_true", help="put them into this experiment's folder and README")
    given = parser.parse_args(argv)
    if given.workdir and (given.preset or given.keep):
        raise ValueError("--workdir looks at runs of your own; leave out --preset and --keep")
    chosen = None if given.seeds is None else _seeds(given.seeds)
    overrides = {field: getattr(given, name) for name, (field, _) in fields.items()}
    changes = tuple((field, value) for field, value in overrides.items() if value is not None)
    if given.workdir:
        panels = tuple(own(workdir, chosen) for workdir in given.workdir)
        return Options(paper, OWN, panels, chosen, changes, given.runs, given.out / OWN, False)
    preset = given.preset or default
    panels, replicates = paper.presets[preset], chosen or paper.seeds[preset]
    return Options(paper, preset, panels, replicates, changes, given.runs, given.out / preset, given.keep)


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


def config_of(panel: Panel, *argument: str) -> ConfigDict:
    """Loads the config of a panel.

    Args:
      panel: Which.
      *argument: What a config file's `get_config` takes, if it takes any; a work directory's config takes none.

    Returns:
      Its config, to be changed.
    """
    if panel.source.is_dir():
        config = default_config()
        config.update(_as_tuples(with_new_names(json.loads(paths.config(panel.source).read_text()))))
        return config
    spec: Any = importlib.util.spec_from_file_location(panel.source.stem, panel.source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config(*argument)


def _as_tuples(config: dict[str, Any]) -> ConfigDict:
    """Undoes JSON, which knows lists alone."""
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}
    return ConfigDict({name: _as_tuples(v) if isinstance(v, dict) else v for name, v in plain.items()})
