"""Timing side by side: every candidate in turn, round after round, so that a busy machine disturbs all alike."""

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax

LEAST = 3
"""Rounds that are never left out."""


def medians(candidates: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the median seconds of functions, called in alternation after one call each to compile."""
    return {name: statistics.median(times) for name, times in samples(candidates, rounds).items()}


def samples(candidates: dict[str, Callable[[], Any]], rounds: int, limit: float = math.inf) -> dict[str, list[float]]:
    """Return the seconds of every call, and none after `limit` seconds of them once there are a few."""
    for call in candidates.values():
        jax.block_until_ready(call())
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    begin = time.perf_counter()
    for done in range(rounds):
        if done >= LEAST and time.perf_counter() - begin > limit:
            break
        for name, call in candidates.items():
            start = time.perf_counter()
            jax.block_until_ready(call())
            seconds[name].append(time.perf_counter() - start)
    return seconds
