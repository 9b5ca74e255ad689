"""The page: one self-contained HTML file that shows a run and says what each thing is."""

import base64
import json
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined

from lpjax import pools, transforms
from lpjax.report import arms, figures, reading, style, superposed, tables
from lpjax.store import paths

_SHOWN = 0.65
_KINDS = {
    "cia": "A weight's mean over all tickets, a zero where it is not alive: what few tickets have, shrinks.",
    "caa": "A weight's mean over those tickets in which it is alive.",
    "cima": "A moving average: every new ticket joins with the same share, so that the tickets weigh unequally.",
}
_MINUS = "\N{MINUS SIGN}"


def write(workdir: Path, command: str) -> Path:
    """Draws the figures and writes the page, from whatever a work directory holds by now.

    The same files and command give the same bytes.

    Args:
      workdir: A run's, finished or not.
      command: The command that made it, shown word for word.

    Returns:
      The page's path.

    Raises:
      ValueError: If a record of the run is damaged.
    """
    results = reading.results(workdir)
    config = reading.json_or_empty(paths.config(workdir))
    template, told = _sparse(workdir, results) if arms.is_sparse(config) else _pooled(workdir, results)
    pictures = figures.draw(workdir, results, paths.figures(workdir))
    page = paths.report(workdir)
    page.parent.mkdir(parents=True, exist_ok=True)
    html = (
        _environment()
        .get_template(template)
        .render(
            command=command,
            config=config,
            config_text=json.dumps(config, indent=2),
            environment=reading.json_or_empty(paths.environment(workdir)),
            figures={name: _picture(path.read_bytes()) for name, path in pictures.items()},
            **told,
        )
    )
    page.write_text(html, encoding="utf-8")
    return page


def _pooled(workdir: Path, results: pd.DataFrame) -> tuple[str, dict[str, Any]]:
    """Gathers what the page of tickets and their pools tells."""
    progress, rows = reading.progress(workdir), tables.rows(results)
    return "page.html.jinja", {
        "progress": progress,
        "unfinished": any(seed["tickets"] < seed["levels"] or seed["pools"] < seed["all_pools"] for seed in progress),
        "rows": rows,
        "compared": _compared(rows),
        "levels": tables.by_level(results) if rows else [],
        "about": {name: method.about for name, method in pools.METHODS.items()},
        "searched": figures.searched(workdir)[0],
    }


def _sparse(workdir: Path, results: pd.DataFrame) -> tuple[str, dict[str, Any]]:
    """Gathers what the page of a sparse run tells."""
    progress, rows = arms.progress(workdir), superposed.rows(workdir, results)
    made = [row for row in rows if row.method not in (arms.BASE, arms.CHEAP)]
    cheap = arms.named(results[results["level"] > 0])
    return "sparse.html.jinja", {
        "plan": arms.plan(workdir),
        "progress": progress,
        "unfinished": any(seed["unfinished"] for seed in progress),
        "rows": rows,
        "made": made,
        "levels": tables.by_level(cheap) if len(cheap) else [],
        "lies": {row.method: _lies(row, results) for row in made if row.method != "ensemble"},
        "methods": transforms.METHODS,
        "kinds": _KINDS,
    }


def _lies(row: superposed.Row, results: pd.DataFrame) -> str:
    seed = results[(results["method"] == row.method) & (results["level"] == row.tickets)]["seed"].min()
    return paths.ticket(paths.pool(Path(), seed, row.method, row.tickets)).as_posix()


def _compared(rows: list[tables.Row]) -> list[tables.Row]:
    """Chooses the pools that the opening sentences speak of: the paper's, else all there are."""
    gained = [row for row in rows if row.gain and row.method != "recalibrated"]
    return [row for row in gained if row.method in figures.MAIN] or gained


def _picture(png: bytes) -> dict[str, Any]:
    """Embeds a picture at one size of type for all; a PNG's header holds its width in pixels."""
    pixels = int.from_bytes(png[16:20], "big")
    return {"data": base64.b64encode(png).decode(), "width": round(_SHOWN * pixels)}


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("lpjax.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "name": _name,
        "share": _share,
        "points": _points,
        "size": _size,
        "number": _number,
        "fraction": _fraction,
    }
    return environment


def _name(method: str) -> str:
    return style.look(method).name


def _share(spread: tables.Spread | None) -> str:
    return _with_spread(spread, 100, ".2f")


def _points(spread: tables.Spread | None) -> str:
    return _with_spread(spread, 100, "+.2f")


def _size(spread: tables.Spread) -> str:
    return _share(spread._replace(mean=abs(spread.mean)))


def _number(spread: tables.Spread | None) -> str:
    return _with_spread(spread, 1, ".4f")


def _fraction(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _with_spread(spread: tables.Spread | None, scale: int, form: str) -> str:
    if spread is None:
        return "–"
    mean = f"{scale * spread.mean:{form}}".replace("-", _MINUS)
    return mean if spread.std is None else f"{mean} ± {scale * spread.std:{form.removeprefix('+')}}"
