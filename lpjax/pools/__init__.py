"""Pools: many tickets into one of the same density. Consumes `Variables` and an `evaluate` callable, no data set."""

from lpjax.pools.connectivity import TENTHS, barrier, linear_path
from lpjax.pools.ensemble import VOTES, ensemble
from lpjax.pools.lottery import ACCEPT, INTERPOLATION, PRUNE, Pool, PoolState, Trial, pool
from lpjax.pools.methods import METHODS, STANDARD, Method, recalibrated, running_mean
from lpjax.pools.order import adjacent
from lpjax.pools.reference import float_count, reference
from lpjax.pools.superpose import KINDS, Superpose, SuperposeState, superpose

__all__ = [
    "ACCEPT",
    "INTERPOLATION",
    "KINDS",
    "METHODS",
    "PRUNE",
    "STANDARD",
    "TENTHS",
    "VOTES",
    "Method",
    "Pool",
    "PoolState",
    "Superpose",
    "SuperposeState",
    "Trial",
    "adjacent",
    "barrier",
    "ensemble",
    "float_count",
    "linear_path",
    "pool",
    "recalibrated",
    "reference",
    "running_mean",
    "superpose",
]
