"""Sparse training as optax transforms: masks live in the optimizer's state."""

from lpjax.transforms.dense_to_sparse import gmp, granet, n_of_m
from lpjax.transforms.drop import nearest_zero, smallest, smallest_overall
from lpjax.transforms.evolve import EvolveState, evolve
from lpjax.transforms.find import explored_of, mask_of
from lpjax.transforms.foresight import snip
from lpjax.transforms.grow import at_random, by_average, by_gradient, unexplored
from lpjax.transforms.hold import HoldState, hold
from lpjax.transforms.methods import METHODS, Method
from lpjax.transforms.share import as_dropped, by_momentum, by_survivors
from lpjax.transforms.sparse_to_sparse import dsr, itop, rigl, snfs, sparse_evolution, static
from lpjax.transforms.thin import in_proportion
from lpjax.transforms.view import View

__all__ = [
    "METHODS",
    "EvolveState",
    "HoldState",
    "Method",
    "View",
    "as_dropped",
    "at_random",
    "by_average",
    "by_gradient",
    "by_momentum",
    "by_survivors",
    "dsr",
    "evolve",
    "explored_of",
    "gmp",
    "granet",
    "hold",
    "in_proportion",
    "itop",
    "mask_of",
    "n_of_m",
    "nearest_zero",
    "rigl",
    "smallest",
    "smallest_overall",
    "snfs",
    "snip",
    "sparse_evolution",
    "static",
    "unexplored",
]
