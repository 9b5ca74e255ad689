"""Pools: many tickets into one of the same density. Consumes `Variables` and an `evaluate` callable, no data set."""

from lpjax.pools.lottery import ACCEPT, INTERPOLATION, PRUNE, Pool, PoolState, Trial, pool
from lpjax.pools.methods import METHODS, Method, recalibrated, running_mean
from lpjax.pools.order import adjacent

__all__ = [
    "ACCEPT",
    "INTERPOLATION",
    "METHODS",
    "PRUNE",
    "Method",
    "Pool",
    "PoolState",
    "Trial",
    "adjacent",
    "pool",
    "recalibrated",
    "running_mean",
]
