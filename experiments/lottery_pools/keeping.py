"""Where an experiment's figures and tables go, and what its README says of them."""

import os
import platform
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from experiments.lottery_pools.setting import Options, Run, options
from lpjax.report import paired, panels
from lpjax.report.figures import save
from lpjax.run import remember_compilations
from lpjax.store import environment

HERE = Path(__file__).parent
USER_MISTAKE = 2


def main(make: Callable[[Options], None], about: str | None) -> None:
    """Runs one experiment, or all, from the command line.

    Args:
      make: Measures, draws and writes.
      about: What it is.
    """
    remember_compilations()
    try:
        make(options(sys.argv[1:], about))
    except ValueError as error:
        print(f"lpjax: {error}", file=sys.stderr)
        sys.exit(USER_MISTAKE)


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
    folder = HERE / name / options.preset if options.keep else options.out / name
    folder.mkdir(parents=True, exist_ok=True)
    for title, figure in figures.items():
        save(figure, folder, title)
    for title, table in tables.items():
        table.to_csv(folder / f"{title}.csv", index=False, lineterminator="\n")
    pictures = "\n".join(f"![{title}]({options.preset}/{title}.png)" for title in figures)
    result = "\n\n".join(part for part in (text, pictures, _circumstances(options)) if part)
    if options.keep:
        _insert(HERE / name / "README.md", options.preset, result)
    print(f"\n{name} ({options.preset}): {folder}\n\n{text}", flush=True)


def comparison(
    options: Options,
    name: str,
    runs: Sequence[Run],
    methods: Sequence[str],
    *,
    reported: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
) -> None:
    """Draws accuracy against density for several methods, and compares each with the tickets, image by image.

    Args:
      options: What was asked for.
      name: The experiment's folder.
      runs: One a panel; the pools are there.
      methods: Curves to draw.
      reported: Further methods for the table alone.
      labels: Names in the legend, by method, instead of their own.
    """
    everything = [method for method in (*reported, *methods) if method != "ticket"]
    results = [(run.title, run.results(everything)) for run in runs]
    compared = []
    for run, (title, table) in zip(runs, results, strict=True):
        right = run.right(everything)
        for method in everything:
            compared.append((title, method, paired.compare(table, right, method)))
    statistics = pd.concat([paired.frame(rows).assign(panel=title) for title, _, rows in compared])
    measured = pd.concat([table.assign(panel=title) for title, table in results])
    text = "\n\n".join(f"**{title}**\n\n{_summary(compared, title)}" for title, _ in results)
    figure = panels.panels(results, methods, dense=True, labels=labels)
    write(options, name, {"accuracy": figure}, {"results": measured, "statistics": statistics}, text)


def _summary(compared: Sequence[tuple[str, str, list[paired.Comparison]]], title: str) -> str:
    """Shows the means over all levels; the CSV has every level."""
    return paired.markdown([row for where, _, rows in compared if where == title for row in rows if row.level is None])


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
    return (
        f"Seeds {', '.join(map(str, options.seeds))}; {devices} ({platform.machine()}, {os.cpu_count()} cores); "
        f"Python {where['python']}, jax {where['jax']}, flax {where['flax']}."
    )
