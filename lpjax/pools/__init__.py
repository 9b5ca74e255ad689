"""Pools: many tickets into one of the same density. Takes pytrees and an `evaluate` callable, no data set.

Read in this order: `neighbors`, `coefficients`, `lottery` (the engine), `methods` and `reference` (which bind it),
`superpose`, and, to compare with, `connectivity` and `ensemble`.
"""

from lpjax.pools.coefficients import INTERPOLATION, coefficient_rounds  # noqa: F401
from lpjax.pools.connectivity import TENTHS, barrier, linear_path
from lpjax.pools.ensemble import VOTES, ensemble
from lpjax.pools.lottery import (
    ACCEPT,
    PRUNE,
    RECALIBRATION_BATCHES,
    Pool,
    PoolState,
    Trial,
    pool,
)
from lpjax.pools.methods import METHODS, STANDARD, Method, recalibrated, running_mean  # noqa: F401
from lpjax.pools.neighbors import neighbors
from lpjax.pools.reference import float_count, reference  # noqa: F401
from lpjax.pools.superpose import KINDS, Superpose, SuperposeState, superpose

__all__ = [
    "ACCEPT",
    "INTERPOLATION",
    "KINDS",
    "METHODS",
    "PRUNE",
    "RECALIBRATION_BATCHES",
    "STANDARD",
    "TENTHS",
    "VOTES",
    "Method",
    "Pool",
    "PoolState",
    "Superpose",
    "SuperposeState",
    "Trial",
    "barrier",
    "ensemble",
    "linear_path",
    "neighbors",
    "pool",
    "recalibrated",
    "reference",
    "superpose",
]
