"""Where an experiment's figures and tables go, and what its README says of them."""

import os
import platform
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from experiments.lottery_pools.options import Options, options
from experiments.lottery_pools.runs import Run
from lpjax.report import paired, panels
from lpjax.report.figures import save
from lpjax.run import remember_compilations
from lpjax.run.pool import search
from lpjax.store import environment

HERE = Path(__file__).parent
USER_MISTAKE, INTERRUPTED = 2, 130
CONTROL = "recalibrated"


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
    except KeyboardInterrupt:
        print("lpjax: stopped; the same command goes on where this one was", file=sys.stderr)
        sys.exit(INTERRUPTED)


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
    questions: Sequence[tuple[str, str]] = (),
    labels: Mapping[str, str] | None = None,
) -> None:
    """Draws accuracy against density for several methods, and compares them image by image.

    Every method is compared with the tickets and, since pools are recalibrated and plain tickets are not, with the
    recalibrated tickets; further pairs are the figure's own questions.

    Args:
      options: What was asked for.
      name: The experiment's folder.
      runs: One a panel; the pools are there.
      methods: Curves to draw, the tickets first.
      questions: Further pairs to compare, the first less the second.
      labels: Names in the legend, by method, instead of their own.
    """
    _, *merged = methods
    pairs = [(method, base) for base in ("ticket", CONTROL) for method in merged]
    pairs = [(CONTROL, "ticket"), *pairs, *questions]
    statistics, measured, parts, panel = [], [], [], []
    for run in runs:
        run.build({CONTROL: search(run.job, CONTROL)})
        results = run.results((CONTROL, *merged))
        there = set(results["method"])
        right = run.right([method for method in (CONTROL, *merged) if method in there])
        compared = [paired.compare(results, right, *pair) for pair in pairs if there >= set(pair)]
        statistics.append(paired.frame([row for rows in compared for row in rows]).assign(panel=run.title))
        measured.append(results.assign(panel=run.title))
        parts.append(f"**{run.title}**\n\n{paired.markdown(compared, labels)}")
        panel.append((run.title, results))
    figure = panels.panels(panel, methods, dense=True, labels=labels)
    tables = {"results": pd.concat(measured), "statistics": pd.concat(statistics)}
    write(options, name, {"accuracy": figure}, tables, "\n\n".join(parts))


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
