"""How an experiment starts, where its figures and tables go, and what its README says of them."""

import importlib
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from experiments.options import Options, Paper, options
from lpjax.command import remember_compilations
from lpjax.report.figures import save
from lpjax.store import environment

USER_MISTAKE, INTERRUPTED = 2, 130


def main(make: Callable[[Options], None], about: str | None, paper: Paper) -> None:
    """Runs one experiment, or all, from the command line.

    Args:
      make: Measures, draws and writes.
      about: What it is.
      paper: Whose it is.
    """
    remember_compilations()
    try:
        make(options(sys.argv[1:], about, paper))
    except ValueError as error:
        print(f"lpjax: {error}", file=sys.stderr)
        sys.exit(USER_MISTAKE)
    except KeyboardInterrupt:
        print("lpjax: stopped; the same command goes on where this one was", file=sys.stderr)
        sys.exit(INTERRUPTED)


def make_all(options: Options, names: Sequence[str]) -> None:
    """Makes several experiments of a paper, one after another, in one process.

    Args:
      options: What was asked for.
      names: Their folders.
    """
    for name in names:
        clock = time.monotonic()
        importlib.import_module(f"experiments.{options.paper.folder.name}.{name}.__main__").make(options)
        print(f"{name}: {time.monotonic() - clock:.0f} s", flush=True)


def write(
    options: Options, name: str, figures: Mapping[str, Figure], tables: Mapping[str, pd.DataFrame], text: str
) -> None:
    """Writes what an experiment found.

    Args:
      options: Where to.
      name: The experiment's folder.
      figures: Pictures by name.
      tables: CSV files by name.
      text: Markdown for its README.
    """
    home = options.paper.folder / name
    folder = home / options.preset if options.keep else options.out / name
    folder.mkdir(parents=True, exist_ok=True)
    for title, figure in figures.items():
        save(figure, folder, title)
    for title, table in tables.items():
        table.to_csv(folder / f"{title}.csv", index=False, lineterminator="\n")
    pictures = "\n".join(f"![{title}]({options.preset}/{title}.png)" for title in figures)
    result = "\n\n".join(part for part in (text, pictures, _circumstances(options)) if part)
    if options.keep:
        _insert(home / "README.md", options.preset, result)
    print(f"\n{name} ({options.preset}): {folder}\n\n{text}", flush=True)


def _insert(readme: Path, preset: str, result: str) -> None:
    begin, end = f"<!-- {preset} -->", f"<!-- end of {preset} -->"
    text = readme.read_text(encoding="utf-8")
    if begin not in text or end not in text:
        raise ValueError(f"{readme} has no place for the preset {preset!r}; add the lines {begin} and {end}")
    pattern = f"{re.escape(begin)}.*?{re.escape(end)}"
    readme.write_text(re.sub(pattern, lambda _: f"{begin}\n{result}\n{end}", text, flags=re.DOTALL), encoding="utf-8")


def _circumstances(options: Options) -> str:
    where = environment()
    devices = ", ".join(f"{n} x {' '.join(dict.fromkeys(kind.split()))}" for kind, n in where["devices"].items())
    seeds = f"Seeds {', '.join(map(str, options.seeds))}" if options.seeds else "All seeds"
    return (
        f"{seeds}; {devices} ({platform.machine()}, {os.cpu_count()} cores); "
        f"Python {where['python']}, jax {where['jax']}, flax {where['flax']}."
    )
