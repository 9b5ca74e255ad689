"""Comparisons in words: Markdown tables, and what orders and counts they show, whichever way they turn out."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import pandas as pd

Cell = Callable[[Mapping[str, Any]], str]
LABELS = ("network", "method", "sparsity")


def table(rows: pd.DataFrame, columns: Mapping[str, Cell]) -> str:
    """Makes a Markdown table.

    Args:
      rows: One a line.
      columns: Row to cell, by heading.

    Returns:
      The table, without a newline at the end.
    """
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [f"| {' | '.join(cell(row) for cell in columns.values())} |" for row in rows.to_dict("records")]
    return "\n".join(lines)


def comparisons(
    pairs: pd.DataFrame, labels: Sequence[str], network: str, base: str, more: Mapping[str, Cell] | None = None
) -> str:
    """Makes a table of comparisons, accuracies as fractions and differences in points (hundredths).

    Args:
      pairs: As `pairs.frame` gives them.
      labels: Columns that tell the comparisons apart.
      network: What is compared, for the heading.
      base: What with.
      more: Further columns, put after the accuracies.

    Returns:
      A Markdown table. The first interval speaks of other trainings, the second of other test images.
    """
    return table(
        pairs,
        named(labels)
        | {base: spread("base"), network: spread("value")}
        | dict(more or {})
        | {
            "difference (points)": lambda row: points(row["difference"], row["difference_std"]),
            "95 % over seeds": lambda row: ends(row["low"], row["high"]),
            "95 % over images": lambda row: ends(row["images_low"], row["images_high"]),
            "seeds above, below": lambda row: f"{row['above']}, {row['below']} of {row['seeds']}",
        },
    )


def count(pairs: pd.DataFrame) -> str:
    """Counts how often the network is above its base, and how often its interval over seeds says so.

    Args:
      pairs: As `pairs.frame` gives them.

    Returns:
      A sentence.
    """
    above, below = (pairs["difference"] > 0).sum(), (pairs["difference"] < 0).sum()
    known = pairs["low"] < pairs["high"]  # seeds that agree to the last image tell no spread
    sure = (known & (pairs["low"] > 0)).sum(), (known & (pairs["high"] < 0)).sum()
    return (
        f"Above its base in {above} of {len(pairs)} comparisons, below in {below}; "
        f"the interval over seeds is above zero in {sure[0]}, below in {sure[1]}."
    )


def orders(pairs: pd.DataFrame, labels: Sequence[str], what: str) -> str:
    """Tells in which order the means of accuracy came out.

    Args:
      pairs: As `pairs.frame` gives them; `value` is the accuracy.
      labels: Columns that tell groups apart.
      what: The column that names what is put in order.

    Returns:
      A line a group, the best first; equal means are joined by `=`.
    """
    lines = []
    for key, group in pairs.groupby(list(labels), sort=False):
        best = group.sort_values("value", ascending=False, kind="stable")
        names, values = [plain(name) for name in best[what]], best["value"].tolist()
        signs = [" = " if math.isclose(first, second) else " > " for first, second in pairwise(values)]
        order = "".join(name + sign for name, sign in zip(names, [*signs, ""], strict=True))
        lines.append(f"- {', '.join(map(plain, key))}: {order}")
    return "\n".join(lines)


def named(labels: Sequence[str]) -> dict[str, Cell]:
    """Gives the columns of labels."""
    return {label: lambda row, label=label: plain(row[label]) for label in dict.fromkeys(labels)}


def spread(name: str) -> Cell:
    """Gives the column of a mean and its spread, which lies beside it with `_std` in its name."""
    return lambda row: share(row[name], row[f"{name}_std"])


def times(name: str) -> Cell:
    """Gives the column of a cost, as a multiple of the dense network's; nothing where it was not measured."""
    return lambda row: "" if math.isnan(row[name]) else f"{row[name]:.3f}×"


def share(mean: float, std: float) -> str:
    """Writes a fraction, with its spread where there is one; nothing where it was not measured."""
    return "" if math.isnan(mean) else f"{mean:.4f}" + ("" if math.isnan(std) else f" ± {std:.4f}")


def points(mean: float, std: float) -> str:
    """Writes a difference of fractions in hundredths, with its spread where there is one."""
    return f"{100 * mean:+.2f}" + ("" if math.isnan(std) else f" ± {100 * std:.2f}")


def ends(low: float, high: float) -> str:
    """Writes an interval of differences in hundredths; nothing where there is none."""
    return "" if math.isnan(low) else f"{100 * low:+.2f} to {100 * high:+.2f}"


def plain(label: Any) -> str:
    """Writes a label; numbers in their shortest form."""
    return f"{label:g}" if isinstance(label, float) else str(label)
