"""Comparisons in words: Markdown tables, and what orders and counts they show, whichever way they turn out."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import pandas as pd

from experiments import markdown

Cell = Callable[[Mapping[str, Any]], str]
LABELS = ("network", "method", "sparsity")


def table(rows: pd.DataFrame, columns: Mapping[str, Cell]) -> str:
    """Make a Markdown table of columns, row to cell by heading."""
    return markdown.table(list(columns), [[cell(row) for cell in columns.values()] for row in rows.to_dict("records")])


def comparisons(
    pairs: pd.DataFrame, labels: Sequence[str], network: str, base: str, more: Mapping[str, Cell] | None = None
) -> str:
    """Make a table of comparisons, accuracies as fractions and differences in points (hundredths).

    The first interval covers variation between trainings, the second between test images.

    Args:
      pairs: Comparisons, see `pairs`.
      labels: Columns that tell the comparisons apart.
      network: What is compared, for the heading.
      base: What with.
      more: Further columns, put after the accuracies.
    """
    columns = named(labels) | {base: spread("base"), network: spread("value"), **(more or {})}
    columns |= {
        "difference (points)": spread("difference", "+.2f", scale=100),
        "95 % over seeds": lambda row: markdown.interval(row["low"], row["high"]),
        "95 % over images": lambda row: markdown.interval(row["images_low"], row["images_high"]),
        "seeds above, below": lambda row: f"{row['above']}, {row['below']} of {row['seeds']}",
    }
    return table(pairs, columns)


def count(pairs: pd.DataFrame) -> str:
    """Count how often the network is above its base, and how often its interval over seeds says so."""
    above = (pairs["difference"] > 0).sum()
    below = (pairs["difference"] < 0).sum()
    known = pairs["low"] < pairs["high"]  # seeds that agree to the last image tell no spread
    surely_above = (known & (pairs["low"] > 0)).sum()
    surely_below = (known & (pairs["high"] < 0)).sum()
    return (
        f"Above its base in {above} of {len(pairs)} comparisons, below in {below}; "
        f"the interval over seeds is above zero in {surely_above}, below in {surely_below}."
    )


def orders(pairs: pd.DataFrame, labels: Sequence[str], what: str) -> str:
    """List in which order the values of the column `what` came out by mean accuracy, one line per group of `labels`.

    The best is first; equal means are joined by `=`.
    """
    lines = []
    for key, group in pairs.groupby(list(labels), sort=False):
        best = group.sort_values("value", ascending=False, kind="stable")
        names = [plain(name) for name in best[what]]
        order = names[0]
        for name, (first, second) in zip(names[1:], pairwise(best["value"]), strict=True):
            order += f" = {name}" if math.isclose(first, second) else f" > {name}"
        lines.append(f"- {', '.join(map(plain, key))}: {order}")
    return "\n".join(lines)


def named(labels: Sequence[str]) -> dict[str, Cell]:
    """Return the columns of labels."""
    return {label: lambda row, label=label: plain(row[label]) for label in labels}


def spread(name: str, form: str = ".4f", scale: float = 1) -> Cell:
    """Return the column of a mean and its spread, which lies beside it with `_std` in its name; empty for NaN."""

    def cell(row: Mapping[str, Any]) -> str:
        if math.isnan(row[name]):
            return ""
        return markdown.spread(scale * row[name], scale * row[f"{name}_std"], form)

    return cell


def times(name: str) -> Cell:
    """Return the column of a cost, as a multiple of the dense network's; empty for NaN."""
    return lambda row: "" if math.isnan(row[name]) else f"{row[name]:.3f}×"


def plain(label: Any) -> str:
    """Write a label; numbers in their shortest form."""
    return f"{label:g}" if isinstance(label, float) else str(label)
