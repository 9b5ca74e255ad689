"""The page: one self-contained HTML file that shows a run and says what each thing is."""

import base64
import json
import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from matplotlib.figure import Figure

from lpjax import store
from lpjax.report import figures, tables
from lpjax.store import paths


def write(workdir: Path, command: str) -> Path:
    """Draws the figures and writes the page, from whatever a work directory holds by now.

    Args:
      workdir: A run's, finished or not.
      command: The command that made it, shown word for word.

    Returns:
      The page's path.
    """
    results = tables.read(workdir)
    pictures = [
        {"caption": caption, "data": _base64(figures.save(figure, paths.figures(workdir), name))}
        for name, (figure, caption) in _figures(workdir, results).items()
    ]
    environment = Environment(
        loader=PackageLoader("lpjax.report", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"points": _points, "fraction": _fraction}
    html = environment.get_template("page.html.jinja").render(
        command=command,
        config=json.dumps(_read(paths.config(workdir)), indent=2, sort_keys=True),
        dataset=_read(paths.config(workdir)).get("dataset", "?"),
        model=_read(paths.config(workdir)).get("model", "?"),
        environment=_read(paths.environment(workdir)),
        headlines=tables.headlines(results),
        levels=[] if results.empty else tables.levels(results).to_dict("records"),
        methods=tables.methods(results),
        pictures=pictures,
    )
    page = paths.report(workdir)
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(html, encoding="utf-8")
    return page


def _figures(workdir: Path, results: Any) -> dict[str, tuple[Figure, str]]:
    drawn: dict[str, tuple[Figure, str]] = {}
    if not results.empty:
        drawn["accuracy"] = (
            figures.accuracy(results, figures.MAIN),
            "Test accuracy against density. Dense networks are on the left; every step to the right is one pruning.",
        )
        drawn["gains"] = (
            figures.gains(results),
            "What pools gain over the tickets, left, and over tickets with recalibrated statistics, right.",
        )
        if others := [m for m in tables.methods(results) if m not in figures.MAIN]:
            drawn["baselines"] = (
                figures.accuracy(results, ["ticket", "interpolation", *others]),
                "The pool against other ways of merging the same tickets.",
            )
    for seed in sorted(workdir.glob("seed_*"))[:1]:
        found = sorted((seed / "pools" / "interpolation").glob("level_*"))
        traces = [store.read_json(paths.trace(pool)) for pool in found if paths.trace(pool).exists()]
        if any(trace["trials"] for trace in traces):
            drawn["coefficients"] = (
                figures.coefficients([trace for trace in traces if trace["trials"]]),
                f"Coefficients that interpolation accepted ({seed.name}); a cross is a newcomer rejected.",
            )
        epochs = {int(level.name[6:]): store.read_jsonl(paths.metrics(level)) for level in seed.glob("level_*")}
        if epochs := {level: rows for level, rows in epochs.items() if rows}:
            drawn["training"] = (
                figures.training(epochs),
                f"Validation accuracy while each level trained ({seed.name}).",
            )
    return drawn


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _read(path: Path) -> dict[str, Any]:
    return store.read_json(path) if path.exists() else {}


def _points(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


def _fraction(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4f}"
