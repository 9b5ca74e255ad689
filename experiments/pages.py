"""What every page of an experiment says of the tables that are kept beside it."""

import re
from pathlib import Path

from experiments import keep
from experiments.keeping import Describe, block, read
from experiments.lottery_pools import comparisons, connectivity, robustness, tables
from experiments.sup_tickets import accuracy, costs, uncertainty, variants

FOLDER = Path(__file__).parent
_REST = re.compile(r"\n\n(?=!\[|Seeds \d|All seeds;)")
PAGES: dict[str, Describe] = {
    "lottery_pools/controls": comparisons.describe,
    "lottery_pools/figure1": connectivity.describe_gains,
    "lottery_pools/figure2": connectivity.describe_barriers,
    "lottery_pools/figure3a": comparisons.describe,
    "lottery_pools/figure3b": comparisons.describe,
    "lottery_pools/figure3c": robustness.describe,
    "lottery_pools/figure4": comparisons.describe,
    "lottery_pools/figure5": comparisons.describe,
    "lottery_pools/figure6": comparisons.describe,
    "lottery_pools/figure7": comparisons.describe,
    "lottery_pools/table1": tables.describe_costs,
    "lottery_pools/table2": tables.describe_settings,
    "sup_tickets/figure3": variants.describe_averages,
    "sup_tickets/figure4": variants.describe_counts,
    "sup_tickets/figure5": uncertainty.describe_uncertainty,
    "sup_tickets/settled": accuracy.describe_settled,
    "sup_tickets/table1": accuracy.describe_with_and_without,
    "sup_tickets/table2": accuracy.describe_with_and_without,
    "sup_tickets/table3": costs.describe,
    "sup_tickets/table4": accuracy.describe_against_dense,
    "sup_tickets/table5": variants.describe_cycles,
    "sup_tickets/table6": uncertainty.describe_ensembles,
    "sup_tickets/table7": variants.describe_shapes,
}
"""By folder; the tables of every preset lie in a folder of its own."""

RUNS = {
    "digits_resnet8": "digits, ResNet-8",
    "cifar10_16x16_resnet8": "CIFAR-10 (stored as JPEG) at 16x16, ResNet-8",
}
"""Runs of `python -m lpjax.main` whose tables lie in the folder itself (see `experiments.keep`), and their titles."""


def kept() -> list[tuple[str, str]]:
    """List every page and preset whose tables are kept; runs of their own have the one preset `results`."""
    found = [(page, keep.RESULTS) for page in RUNS]
    for page in PAGES:
        found += [(page, folder.name) for folder in sorted((FOLDER / page).iterdir()) if any(folder.glob("*.csv"))]
    return found


def described(page: str, preset: str) -> str:
    """Describe the tables that are kept for a page."""
    if page in RUNS:
        return keep.describe(read(FOLDER / page))
    return PAGES[page](read(FOLDER / page / preset), preset)


def shown(page: str, preset: str) -> tuple[str, str]:
    """Return what a page says of a preset: the description, and its pictures with where it was measured."""
    readme = FOLDER / page / "README.md"
    lines = block(readme.read_text(encoding="utf-8"), preset, readme).splitlines()
    description, *rest = _REST.split("\n".join(lines[1:-1]), maxsplit=1)
    return description, "".join(rest)


def content(page: str, preset: str) -> str:
    """Return what a page ought to say of a preset: the description of its tables, then what it has beside that."""
    _, rest = shown(page, preset)
    return "\n\n".join(part for part in (described(page, preset), rest) if part)
