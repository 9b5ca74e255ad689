"""Rows of measurements in CSV files: a case that is there is not measured again, one that does not fit is left out."""

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Case = Mapping[str, Any]
"""The settings that tell a measurement from others, with the device and the version."""
OUT_OF_MEMORY = ("RESOURCE_EXHAUSTED", "out of memory")
"""What JAX and PyTorch say."""


def by_importance(**choices: Sequence[Any]) -> list[dict[str, Any]]:
    """Combine settings; a case comes the earlier, the fewer of its settings differ from their first choice.

    Example:
      >>> [tuple(case.values()) for case in by_importance(batch=(128, 512), steps=(64, 1))]
      [(128, 64), (128, 1), (512, 64), (512, 1)]
    """
    cases = []
    for values in itertools.product(*choices.values()):
        cases.append(dict(zip(choices, values, strict=True)))
    return sorted(cases, key=lambda case: sum(case[name] != values[0] for name, values in choices.items()))


def measure_all(
    path: Path,
    cases: Sequence[Case],
    measure: Callable[[Case], Mapping[str, Any]],
    limit: float,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Append a row for every case that has none, in order, and say which ones do not fit.

    Args:
      path: The file.
      cases: The most important ones first.
      measure: Case to what was measured.
      limit: Seconds. A case is begun if one that takes as long as the longest so far would end in time.
      clock: For tests.
    """
    begin = clock()
    longest = 0.0
    rows = read(path)
    missing = [case for case in cases if not is_there(rows, case)]
    for number, case in enumerate(missing):
        start = clock()
        if start - begin + longest > limit:
            print(f"{len(missing) - number} of {len(cases)} cases are left out; the same command measures them")
            return
        shown = ", ".join(str(value) for name, value in case.items() if name not in ("device", "version"))
        try:
            row = {**case, **measure(case)}
        except RuntimeError as error:
            if not any(words in str(error) for words in OUT_OF_MEMORY):
                raise
            print(f"left out, as the device has too little memory: {shown}", flush=True)
            continue
        pd.DataFrame([row]).to_csv(path, mode="a", header=not path.exists(), index=False, lineterminator="\n")
        print(f"{row['median_ms']:10.3f} ms  {shown}", flush=True)
        longest = max(longest, clock() - start)


def quartiles(seconds: Sequence[float], steps: int = 1) -> dict[str, Any]:
    """Describe times of so many steps each: the median and interquartile range of a step in ms, and their number."""
    low, median, high = np.quantile(seconds, (0.25, 0.5, 0.75)) * 1000 / steps
    return {"median_ms": round(median, 4), "iqr_ms": round(high - low, 4), "n": len(seconds)}


def read(path: Path) -> pd.DataFrame:
    """Read all rows; none if there is no file."""
    return pd.read_csv(path) if path.exists() else pd.DataFrame()


def is_there(rows: pd.DataFrame, case: Case) -> bool:
    """Tell whether some row has all settings of a case."""
    if rows.empty:
        return False
    wanted = pd.Series(case).astype(str)
    return bool((rows[list(case)].astype(str) == wanted).all(axis="columns").any())
