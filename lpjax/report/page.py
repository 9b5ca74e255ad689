"""The page: one self-contained HTML file that shows a run and says what each thing is."""

import base64
import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from lpjax import pools
from lpjax.report import figures, reading, style, tables
from lpjax.store import paths

_SHOWN = 0.65
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
    pictures = figures.draw(workdir, results, paths.figures(workdir))
    page = paths.report(workdir)
    page.parent.mkdir(parents=True, exist_ok=True)
    html = _template().render(
        command=command,
        config=(config := reading.json_or_empty(paths.config(workdir))),
        config_text=json.dumps(config, indent=2),
        environment=reading.json_or_empty(paths.environment(workdir)),
        progress=(progress := reading.progress(workdir)),
        unfinished=any(seed["tickets"] < seed["levels"] or seed["pools"] < seed["all_pools"] for seed in progress),
        rows=(rows := tables.rows(results)),
        compared=_compared(rows),
        levels=tables.by_level(results) if rows else [],
        about={name: method.about for name, method in pools.METHODS.items()},
        searched=figures.searched(workdir)[0],
        figures={name: _picture(path.read_bytes()) for name, path in pictures.items()},
    )
    page.write_text(html, encoding="utf-8")
    return page


def _compared(rows: list[tables.Row]) -> list[tables.Row]:
    """Chooses the pools that the opening sentences speak of: the paper's, else all there are."""
    gained = [row for row in rows if row.gain and row.method != "recalibrated"]
    return [row for row in gained if row.method in figures.MAIN] or gained


def _picture(png: bytes) -> dict[str, Any]:
    """Embeds a picture at one size of type for all; a PNG's header holds its width in pixels."""
    pixels = int.from_bytes(png[16:20], "big")
    return {"data": base64.b64encode(png).decode(), "width": round(_SHOWN * pixels)}


def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("lpjax.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"name": _name, "share": _share, "points": _points, "size": _size, "number": _number}
    return environment.get_template("page.html.jinja")


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


def _with_spread(spread: tables.Spread | None, scale: int, form: str) -> str:
    if spread is None:
        return "–"
    mean = f"{scale * spread.mean:{form}}".replace("-", _MINUS)
    return mean if spread.std is None else f"{mean} ± {scale * spread.std:{form.removeprefix('+')}}"
