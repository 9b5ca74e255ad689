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


def points(mean: float, std: float | None) -> str:
    """Write a difference of fractions in percentage points, with its standard deviation where there is one.

    Example:
      >>> points(0.005, 0.001), points(-0.005, None)
      ('+0.50 ± 0.10', '-0.50')
    """
    return spread(100 * mean, None if std is None else 100 * std, "+.2f")


def interval(low: float, high: float, scale: float = 100) -> str:
    """Write the ends of an interval, by default of fractions in percentage points; nothing where they are NaN."""
    return "" if math.isnan(low) else f"{scale * low:+.2f} to {scale * high:+.2f}"
