"""The page: one self-contained HTML file that shows a run and says what each thing is."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from lpjax import pools, store, transforms
from lpjax.errors import StorageError
from lpjax.report import arms, figures, reading, so_far, style, superposed, tables
from lpjax.store import paths

_KINDS = {
    "cia": "A weight's mean over all tickets, a zero where it is not alive: what few tickets have, shrinks.",
    "caa": "A weight's mean over those tickets in which it is alive.",
    "cima": "A moving average: every new ticket joins with the same share, so that the tickets weigh unequally.",
}
_MINUS = "\N{MINUS SIGN}"


def write(workdir: Path, command: str, out: Path | None = None) -> Path:
    """Draw the figures and writes the page, from whatever a work directory holds by now.

    The same files and command give the same bytes, once a run has finished.

    Args:
      workdir: A run's, finished or not.
      command: The command that made it, shown word for word; empty if it is not known.
      out: Where the page and its figures go; by default into the work directory.

    Returns:
      The page's path.

    Raises:
      UserError: If a record of the run is damaged.
      StorageError: If the page cannot be written.
    """
    results = reading.results(workdir)
    config = store.read_json_or_empty(paths.config(workdir))
    if arms.is_sparse(config):
        template = "sparse.html.jinja"
        content = _sparse(workdir, results)
    else:
        template = "page.html.jinja"
        content = _pooled(workdir, results)
    page = paths.report(workdir)
    if out:
        page = out / page.name
    try:
        drawings = figures.draw(workdir, results, page.parent / paths.figures(workdir).name)
        html = (
            _environment()
            .get_template(template)
            .render(
                command=command,
                config=config,
                config_text=json.dumps(config, indent=2),
                environment=store.read_json_or_empty(paths.environment(workdir)),
                figures=drawings,
                so_far=so_far.summary(workdir),
                **content,
            )
        )
        figures.write_bytes(page, html.encode())
    except StorageError as error:
        raise StorageError(f"{error}; or write elsewhere: python -m lpjax.report {workdir} --out=DIR") from error
    return page


def _pooled(workdir: Path, results: pd.DataFrame) -> dict[str, Any]:
    """Gather what the page of tickets and their pools tells; its first sentences are of the paper's pools, if any."""
    rows = tables.rows(results)
    searched, _ = figures.searched(workdir)
    gained = [row for row in rows if row.gain and row.method != "recalibrated"]
    return {
        "rows": rows,
        "compared": [row for row in gained if row.method in figures.MAIN] or gained,
        "levels": tables.by_level(results) if rows else [],
        "sizes": [row for row in tables.sizes(results) if row["method"] in ("ticket", searched)],
        "about": {name: method.about for name, method in pools.METHODS.items()},
        "searched": searched,
    }


def _sparse(workdir: Path, results: pd.DataFrame) -> dict[str, Any]:
    """Gather what the page of a sparse run tells."""
    rows = superposed.rows(workdir, results)
    made = [row for row in rows if row.method not in (arms.BASE, arms.CHEAP)]
    cheap = arms.named(results[results["level"] > 0])
    return {
        "plan": arms.plan(workdir),
        "rows": rows,
        "made": made,
        "levels": tables.by_level(cheap) if len(cheap) else [],
        "locations": {row.method: _location(row, results) for row in made if row.method != "ensemble"},
        "methods": transforms.METHODS,
        "kinds": _KINDS,
    }


def _location(row: superposed.Row, results: pd.DataFrame) -> str:
    seed = results[(results["method"] == row.method) & (results["level"] == row.tickets)]["seed"].min()
    return paths.ticket(paths.pool(Path(), seed, row.method, row.tickets)).as_posix()


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("lpjax.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "name": lambda method: style.look(method).name,
        "share": lambda spread: _with_spread(spread, 100, ".2f"),
        "points": lambda spread: _with_spread(spread, 100, "+.2f"),
        "size": lambda spread: _with_spread(spread._replace(mean=abs(spread.mean)), 100, ".2f"),
        "number": lambda spread: _with_spread(spread, 1, ".4f"),
        "fraction": lambda value: "–" if value is None else f"{value:.4f}",
    }
    return environment


def _with_spread(spread: tables.Spread | None, scale: int, form: str) -> str:
    if spread is None:
        return "–"
    mean = f"{scale * spread.mean:{form}}".replace("-", _MINUS)
    return mean if spread.std is None else f"{mean} ± {scale * spread.std:{form.removeprefix('+')}}"
