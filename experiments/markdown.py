"""Markdown tables, and numbers with their spread over seeds."""

import math
from collections.abc import Iterable, Sequence


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table, without a newline at the end."""
    lines = [f"| {' | '.join(headings)} |", "|---" * len(headings) + "|"]
    for row in rows:
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def spread(mean: float, std: float | None, form: str) -> str:
    """Write a mean, and its standard deviation where there is one (neither None nor NaN)."""
    text = f"{mean:{form}}"
    if std is None or math.isnan(std):
        return text
    return f"{text} ± {std:{form.lstrip('+')}}"
