"""Tables of what was measured."""

import importlib.util
import math
from pathlib import Path
from typing import Any

import pandas as pd

from experiments import markdown
from experiments.gpu.pool import SEARCHES, share_of_training
from experiments.gpu.rows import read
from experiments.gpu.sparse import EVERY
from lpjax.report import reading, tables

SETTING = ["model", "dtype", "batch"]


def describe(out: Path) -> str:
    """Write every table that there are measurements for, by device."""
    step_rows = read(out / "steps.csv")
    parts = []
    for name, make in {"steps": steps, "pool": pool, "transforms": transforms}.items():
        rows = read(out / f"{name}.csv")
        for device in rows["device"].unique() if len(rows) else ():
            measured = rows[rows["device"] == device]
            parts.append(f"**{name}**: {device}; {', '.join(measured['version'].unique())}")
            parts.append(make(measured, step_rows[step_rows["device"] == device]))
    for results in sorted(out.glob("*/results.csv")):
        parts.append(f"**{results.parent.name}**: test accuracy")
        parts.append(run(results.parent))
    return "\n\n".join(parts)


def steps(rows: pd.DataFrame, step_rows: pd.DataFrame) -> str:
    """Write a row per step; ratios are to plain PyTorch with the same network, dtype and batch."""
    del step_rows
    lines = []
    for _, row in rows.sort_values([*SETTING, "framework", "steps_per_dispatch"]).iterrows():
        share = row["share_of_peak"]
        plain = fastest(rows, row, "PyTorch")
        lines.append(
            [
                row["framework"],
                *_text(row, [*SETTING, "steps_per_dispatch"]),
                _time(row),
                f"{row['images_per_s']:,.0f}",
                "unknown" if math.isnan(share) else f"{share:.1%}",
                f"{row['images_per_s'] / plain:.2f}" if plain else "",
            ]
        )
    columns = ("framework", *SETTING, "steps per dispatch", "step, ms (IQR)", "images/s", "of peak", "by PyTorch")
    table = markdown.table(columns, lines)
    if "PyTorch" in set(rows["framework"]) or importlib.util.find_spec("torch"):
        return table
    return f"{table}\n\nPyTorch is not installed."


def pool(rows: pd.DataFrame, step_rows: pd.DataFrame) -> str:
    """Write a row per search; its share takes the fastest training step of the same network, dtype and batch."""
    lines = []
    for _, row in rows.iterrows():
        share = share_of_training(row["median_ms"], fastest(step_rows, row, "lpjax"))
        lines.append([*_text(row, [*SEARCHES, "images"]), _time(row), f"{share:.2%}"])
    return markdown.table((*SEARCHES, "images", "candidate, ms (IQR)", "share of training"), lines)


def transforms(rows: pd.DataFrame, step_rows: pd.DataFrame) -> str:
    """Write a row per method; its overhead is what `update` takes beyond the plain optimizer's, by the plain step."""
    del step_rows
    lines = []
    for _, row in rows.iterrows():
        change = row["update_at_change_ms"] - row["update_ms"]
        more = row["update_ms"] - row["plain_update_ms"] + change / EVERY
        times = [f"{row['plain_ms']:.3f}", _time(row), f"{row['at_change_ms']:.3f}"]
        lines.append([row["method"], *times, f"{more / row['plain_ms']:+.2%}", f"{change:.2f}"])
    steps = ("plain step, ms", "between changes, ms (IQR)", "at a change, ms")
    return markdown.table(("method", *steps, f"overhead, mean of {EVERY}", "a change alone, ms"), lines)


def run(workdir: Path) -> str:
    """Write a row per method of a run: its test accuracy."""
    lines = []
    for method, column in tables.wide(reading.results(workdir), "test", "accuracy").items():
        values = column.dropna().sort_index()
        lines.append([str(method), *(f"{value:.4f}" for value in (values.iloc[0], values.iloc[-1], values.mean()))])
    return markdown.table(("method", "first level", "last level", "mean"), lines)


def fastest(rows: pd.DataFrame, row: pd.Series, framework: str) -> float:
    """Return the most images/s that a framework reaches in a row's setting; 0 if it was not measured."""
    same = (rows[SETTING] == row[SETTING]).all(axis="columns") & (rows["framework"] == framework)
    return float(rows[same]["images_per_s"].max()) if same.any() else 0.0


def _text(row: pd.Series, columns: list[str]) -> list[str]:
    return [str(row[column]) for column in columns]


def _time(row: Any) -> str:
    return f"{row['median_ms']:.3f} ({row['iqr_ms']:.3f})"
