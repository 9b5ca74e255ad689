"""Timing side by side: every candidate in turn, round after round, so that a busy machine disturbs all alike."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax


def medians(candidates: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the median seconds of functions, called in alternation after one call each to compile."""
    for call in candidates.values():
        jax.block_until_ready(call())
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, call in candidates.items():
            start = time.perf_counter()
            jax.block_until_ready(call())
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}
