"""How an experiment starts, where its figures and tables go, and what its README says of them."""

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
from lpjax.command import USER_MISTAKE, remember_compilations
from lpjax.errors import StorageError, UserError
from lpjax.report.figures import save
from lpjax.store import environment

INTERRUPTED = 130

Describe = Callable[[Mapping[str, pd.DataFrame], str], str]
"""Tables by name and the preset to Markdown: what a page says follows from the tables that are kept beside it."""


def main(make: Callable[[Options], None], paper: Paper) -> None:
    """Run one experiment of a paper, or all, from the command line."""
    remember_compilations()
    about = f"{make.__doc__}\n\nCommand: python -m {sys.modules['__main__'].__package__} --preset=demo"
    try:
        make(options(sys.argv[1:], about, paper))
    except (UserError, StorageError) as error:
        print(f"lpjax: {error}", file=sys.stderr)
        sys.exit(USER_MISTAKE)
    except KeyboardInterrupt:
        print("lpjax: stopped; the same command goes on where this one was", file=sys.stderr)
        sys.exit(INTERRUPTED)


def make_all(options: Options, experiments: Sequence[Callable[[Options], None]]) -> None:
    """Make several experiments of a paper, one after another, in one process."""
    for make in experiments:
        start = time.monotonic()
        make(options)
        print(f"{make.__name__}: {time.monotonic() - start:.0f} s", flush=True)


def write(
    options: Options, name: str, figures: Mapping[str, Figure], tables: Mapping[str, pd.DataFrame], describe: Describe
) -> None:
    """Write what an experiment found: figures and CSV files by name, and for its README what these files say."""
    home = options.paper.folder / name
    folder = home / options.preset if options.keep else options.out / name
    folder.mkdir(parents=True, exist_ok=True)
    for title, figure in figures.items():
        save(figure, folder, title)
    for title, table in tables.items():
        table.to_csv(folder / f"{title}.csv", index=False, lineterminator="\n")
    text = describe(read(folder), options.preset)
    if options.keep:
        pictures = "\n".join(f"![{title}]({options.preset}/{title}.png)" for title in figures)
        result = "\n\n".join(part for part in (text, pictures, _circumstances(options)) if part)
        replace_between(home / "README.md", options.preset, result)
    print(f"\n{name} ({options.preset}): {folder}\n\n{text}", flush=True)


def read(folder: Path) -> dict[str, pd.DataFrame]:
    """Read the tables of an experiment, by name."""
    return {path.stem: pd.read_csv(path) for path in sorted(folder.glob("*.csv"))}


def replace_between(readme: Path, name: str, content: str) -> None:
    """Replace what lies between the marks `<!-- name -->` and `<!-- end of name -->` of a file."""
    text = readme.read_text(encoding="utf-8")
    readme.write_text(between(text, name, content, readme), encoding="utf-8")


def between(text: str, name: str, content: str, readme: Path) -> str:
    """Return the text of a file with other content between the marks of a name."""
    return text.replace(block(text, name, readme), _marked(name, content))


def block(text: str, name: str, readme: Path) -> str:
    """Return what lies between the marks of a name in the text of a file, with the marks."""
    begin, _, end = _marked(name, "").split("\n")
    found = re.search(f"{re.escape(begin)}.*?{re.escape(end)}", text, flags=re.DOTALL)
    if not found:
        raise UserError(f"{readme} has no place for the preset {name!r}; add the lines {begin} and {end}")
    return found[0]


def _marked(name: str, content: str) -> str:
    return f"<!-- {name} -->\n{content}\n<!-- end of {name} -->"


def _circumstances(options: Options) -> str:
    where = environment()
    devices = ", ".join(f"{n} x {' '.join(dict.fromkeys(kind.split()))}" for kind, n in where["devices"].items())
    seeds = f"Seeds {', '.join(map(str, options.seeds))}" if options.seeds else "All seeds"
    return (
        f"{seeds}; {devices} ({platform.machine()}, {os.cpu_count()} cores); "
        f"Python {where['python']}, jax {where['jax']}, flax {where['flax']}."
    )
