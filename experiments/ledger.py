"""Writes the tables of README and of experiment pages, and the results in configs, from the tables that are kept.

Command: python -m experiments.ledger
  A test fails when a file says something else than the tables.
"""

import json
import re
import sys
import textwrap
from pathlib import Path

import pandas as pd

from experiments import markdown, pages
from experiments.claims import CLAIMS, Claim
from experiments.keep import POOL, SINGLE
from experiments.keeping import between, read
from experiments.lottery_pools.comparisons import CONTROL
from experiments.options import ROOT
from lpjax.report import paired, tables
from lpjax.run.saved import TICKET

WIDTH = 118
NOT_YET = "not yet measured"
CLAIM_HEADINGS = ("claim", "reported", "measured on", "n", "here", "95 % interval", "verdict", "command")
RUN_HEADINGS = (
    "experiment",
    "n",
    "tickets",
    "interpolation pools",
    "over tickets (points)",
    "95 % interval",
    "over recalibrated tickets (points)",
    "95 % interval",
    "over best single ticket (points)",
    "95 % interval",
)


def written() -> dict[Path, str]:
    """Return what every file ought to hold that has numbers of kept tables."""
    files: dict[Path, str] = {}

    def put(path: Path, name: str, content: str) -> None:
        text = files.get(path) or path.read_text(encoding="utf-8")
        files[path] = between(text, name, content, path)

    for page, preset in pages.kept():
        put(ROOT / "experiments" / page / "README.md", preset, pages.content(page, preset))
    put(ROOT / "experiments" / "README.md", "claims", claims())
    put(ROOT / "README.md", "results", runs())
    put(ROOT / "README.md", "controls", claims("lottery_pools/controls", folder="experiments/"))
    put(ROOT / "README.md", "sup_tickets", claims("sup_tickets/table1", folder="experiments/"))
    for name in pages.RUNS:
        path = ROOT / "configs" / f"{name}.py"
        files[path] = with_ours(path.read_text(encoding="utf-8"), ours(name))
    return files


def claims(page: str = "", *, folder: str = "") -> str:
    """Make a table with a row per claim and network that it was measured on.

    Args:
      page: The page whose claims are listed; empty for all.
      folder: Of the experiments, as seen from the file that shows the table.
    """
    rows = []
    for claim in CLAIMS:
        if page in ("", claim.page):
            rows += _rows(claim, f"[{claim.text}]({folder}{claim.page}/README.md)")
    return markdown.table(CLAIM_HEADINGS, rows)


def _rows(claim: Claim, link: str) -> list[list[str]]:
    rows = []
    for page, preset in pages.kept():
        if page != claim.page:
            continue
        command = f"`python -m experiments.{page.replace('/', '.')} --preset={preset}`"
        for finding in claim.measure(read(pages.FOLDER / page / preset)):
            measured = [finding.on, str(finding.seeds), finding.measured, finding.interval, finding.verdict]
            rows.append([link, claim.reported, *measured, command])
    if not rows:
        rows.append([link, claim.reported, "", "", "", "", NOT_YET, ""])
    return rows


def runs() -> str:
    """Make a table with a row per kept run: its tickets and pools, means over levels."""
    rows = []
    for name, title in pages.RUNS.items():
        kept = read(pages.FOLDER / name)
        accuracy = _accuracies(kept["results"])
        described = f"[{title}](experiments/{name}/README.md), {_densities(kept['results'])}"
        cells = [described, str(_seeds(kept["results"]))]
        cells += [accuracy.get(method, NOT_YET) for method in (TICKET, POOL)]
        overall = kept["statistics"][kept["statistics"]["level"].isna()]
        pairs = {(row.method, row.base): row for row in paired.from_frame(overall)}
        for base in (TICKET, CONTROL, SINGLE):
            pair = pairs[POOL, base]
            cells.append(markdown.points(pair.difference, pair.std))
            cells.append(markdown.interval(pair.low, pair.high))
        rows.append(cells)
    return markdown.table(RUN_HEADINGS, rows)


def ours(name: str) -> str:
    """Say in a paragraph of a config's docstring what was measured."""
    results = read(pages.FOLDER / name)["results"]
    accuracy = _accuracies(results)
    environment = json.loads((pages.FOLDER / name / "environment.json").read_text())
    levels = results["level"].nunique()
    text = (
        f"Ours (test accuracy, mean over {levels} levels, mean and standard deviation over {_seeds(results)} seeds): "
        f"tickets {accuracy[TICKET]}, recalibrated tickets {accuracy[CONTROL]}, interpolation pools "
        f"{accuracy[POOL]}; 2 CPU cores (AMD EPYC), Python {environment['python']}, jax {environment['jax']}. "
        f"See experiments/{name}."
    )
    return textwrap.fill(text, WIDTH, subsequent_indent="  ")


def with_ours(text: str, paragraph: str) -> str:
    """Replace the paragraph of a config's docstring that begins with `Ours`."""
    replaced, count = re.subn(r"^Ours.*?(?=\n\n|\n?\"\"\")", lambda _: paragraph, text, count=1, flags=re.M | re.S)
    if not count:
        raise ValueError("the docstring has no paragraph that begins with 'Ours'")
    return replaced


def _accuracies(results: pd.DataFrame) -> dict[str, str]:
    found = {}
    for row in tables.rows(results):
        if row.accuracy is not None:
            found[row.method] = markdown.spread(row.accuracy.mean, row.accuracy.std, ".4f")
    return found


def _seeds(results: pd.DataFrame) -> int:
    return int(results["seed"].nunique())


def _densities(results: pd.DataFrame) -> str:
    densities = tables.densities(results)
    return f"{len(densities)} densities from {densities.max():.2g} to {densities.min():.2g}"


def main() -> None:
    """Write every file that says something else than the tables, and name it."""
    for path, text in written().items():
        if path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(path.relative_to(ROOT), file=sys.stderr)


if __name__ == "__main__":
    main()
