"""Random number generators for the effects, one per array."""

import itertools
import zlib
from collections.abc import Iterator

import numpy as np

Draws = Iterator[np.random.Generator]


def draws(seed: int, name: str, severity: int, chunk: int) -> Draws:
    """Yield generators that are determined by the arguments and their position."""
    for array in itertools.count():
        yield np.random.default_rng([seed, zlib.crc32(name.encode()), severity, chunk, array])
