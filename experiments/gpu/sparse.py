"""Steps of sparse training beside those of the plain optimizer, between changes of the mask and at one."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.benchmarks.timing import samples
from experiments.benchmarks.transforms import calls
from experiments.gpu.rows import Case, measure_all, quartiles
from experiments.gpu.sizes import LIMIT, ROUNDS, Size, where

METHODS = ("rigl", "set", "granet", "erk")
"""Of `lpjax.transforms.METHODS`; `erk` is `lpjax.static_sparse`."""
EVERY = 1000


def run(size: Size, out: Path, limit: float) -> None:
    """Measure the methods that `transforms.csv` lacks."""
    about = {**where(), "model": size.model, "dtype": size.dtypes[0], "batch": size.batches[0]}
    cases = [{**about, "method": method} for method in METHODS]
    measure_all(out / "transforms.csv", cases, measure, limit)


def measure(case: Case) -> Mapping[str, Any]:
    """Time whole steps, and `update` alone, of one method and of the plain optimizer in turn."""
    method = case["method"]
    steps, updates, _ = calls(Namespace(**case, every=EVERY, methods=[method]))
    times = samples(steps, ROUNDS, LIMIT)
    update_times = samples(updates, 10 * ROUNDS, LIMIT)
    row = quartiles(times[method])
    for column, name in {"plain": "plain", "at_change": f"{method}!"}.items():
        row[f"{column}_ms"] = quartiles(times[name])["median_ms"]
    for column, name in {"plain_update": "plain", "update": method, "update_at_change": f"{method}!"}.items():
        row[f"{column}_ms"] = quartiles(update_times[name])["median_ms"]
    return row
