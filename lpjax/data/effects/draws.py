"""Random numbers for the effects: one generator an array."""

import itertools
import zlib
from collections.abc import Iterator

import numpy as np

Draws = Iterator[np.random.Generator]


def draws(seed: int, name: str, severity: int, chunk: int) -> Draws:
    """Gives generators that depend on their names alone, whatever else was drawn."""
    for array in itertools.count():
        yield np.random.default_rng([seed, zlib.crc32(name.encode()), severity, chunk, array])
