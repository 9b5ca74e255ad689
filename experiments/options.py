"""What an experiment looks at: a preset's networks, or work directories that are there already."""

import argparse
import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from ml_collections import ConfigDict

from lpjax.errors import UserError
from lpjax.run.load import config_of as config_of_workdir
from lpjax.store import paths

ROOT = Path(__file__).parents[1]
OWN = "own"  # the preset's name where work directories are given
DATA = {"data_dir": ("data_dir", "where TFDS directories lie (default: TFDS's own)")}


class Panel(NamedTuple):
    """One network and data set: its title, and where it is described, a file of configs/ or a work directory."""

    title: str
    source: Path


class Paper(NamedTuple):
    """A paper whose figures and tables lie in one folder."""

    folder: Path  # of experiments/; the preset's runs lie in one of that name under runs/
    presets: Mapping[str, tuple[Panel, ...]]  # what to look at, by name; the first is the default
    seeds: Mapping[str, tuple[int, ...]]  # by preset
    fields: Mapping[str, tuple[str, str]]  # further options of the command line: the config's field, and help


class Options(NamedTuple):
    """What the command line asks for."""

    paper: Paper
    preset: str  # a name of the paper's, or OWN
    panels: tuple[Panel, ...]
    seeds: tuple[int, ...] | None  # None for those that a given work directory has
    overrides: tuple[tuple[str, Any], ...]  # fields of every config, changed
    runs: Path  # where the preset's work directories lie
    out: Path  # where figures and tables go, each experiment in a folder of its own
    keep: bool  # whether they go to the experiment's own folder and README instead


def config_panel(title: str, config: str) -> Panel:
    """Return the panel of a file of configs/, named without its ending."""
    return Panel(title, ROOT / "configs" / f"{config}.py")


def options(argv: Sequence[str], about: str | None, paper: Paper) -> Options:
    """Read the command line; raise `UserError`, in one line, for a user's mistake."""
    default = next(iter(paper.presets))
    runs = Path("runs") / paper.folder.name
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
        raise UserError("--workdir looks at runs of your own; leave out --preset and --keep")
    chosen = None if given.seeds is None else _seeds(given.seeds)
    values = {field: getattr(given, name) for name, (field, _) in fields.items()}
    overrides = tuple((field, value) for field, value in values.items() if value is not None)
    if given.workdir:
        panels = tuple(own(workdir, chosen) for workdir in given.workdir)
        return Options(paper, OWN, panels, chosen, overrides, given.runs, given.out / OWN, False)
    preset = given.preset or default
    chosen = chosen or paper.seeds[preset]
    out = given.out / preset
    return Options(paper, preset, paper.presets[preset], chosen, overrides, given.runs, out, given.keep)


def _seeds(text: str) -> tuple[int, ...]:
    if not all(seed.isdigit() for seed in text.split(",")):
        raise UserError(f"seeds are {text!r}; give integers such as 0,1,2")
    return tuple(int(seed) for seed in text.split(","))


def own(workdir: Path, seeds: tuple[int, ...] | None) -> Panel:
    """Return the panel of a work directory; refuse one without a run, or without one of the seeds."""
    if not paths.config(workdir).exists():
        raise UserError(f"no run lies in {workdir}; give a work directory that python -m lpjax.main has made")
    config = json.loads(paths.config(workdir).read_text())
    absent = sorted(set(seeds or ()) - set(config["seeds"]))
    if absent:
        raise UserError(f"{workdir} has no seed {absent[0]}; it has {', '.join(map(str, config['seeds']))}")
    return Panel(f"{workdir.name}: {config['model']}, {config['dataset']}", workdir)


class _OneLineParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UserError(message)


def config_of(panel: Panel, *argument: str) -> ConfigDict:
    """Load the config of a panel, to be changed; a file of configs/ may take an argument, such as `'rigl,0.9'`."""
    if panel.source.is_dir():
        return config_of_workdir(panel.source)
    spec: Any = importlib.util.spec_from_file_location(panel.source.stem, panel.source)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config(*argument)
