"""Sparse training as optax transforms: masks live in the optimizer's state.

Read in this order: `fixed_mask`, `mask_update` and the rules that read it (`drop`, `grow`, `redistribute`, `prune`),
`dynamic_sparse`, the methods that bind its rules (`sparse_to_sparse`, `dense_to_sparse`, `foresight`), their table
`methods`, and `get_mask`.
"""

from lpjax.transforms.dense_to_sparse import gmp, granet, n_of_m
from lpjax.transforms.drop import set_rule, smallest, smallest_global
from lpjax.transforms.dynamic_sparse import DynamicSparseState, dynamic_sparse
from lpjax.transforms.fixed_mask import FixedMaskState, fixed_mask
from lpjax.transforms.foresight import snip
from lpjax.transforms.get_mask import get_explored, get_mask
from lpjax.transforms.grow import by_average, by_gradient, prefer_unexplored, random_growth
from lpjax.transforms.mask_update import MaskUpdate
from lpjax.transforms.methods import METHODS, Method
from lpjax.transforms.prune import globally, in_proportion
from lpjax.transforms.redistribute import as_dropped, by_momentum, by_survivors
from lpjax.transforms.sparse_to_sparse import dsr, itop, rigl, snfs, sparse_evolution, static_sparse

__all__ = [
    "METHODS",
    "DynamicSparseState",
    "FixedMaskState",
    "MaskUpdate",
    "Method",
    "as_dropped",
    "by_average",
    "by_gradient",
    "by_momentum",
    "by_survivors",
    "dsr",
    "dynamic_sparse",
    "fixed_mask",
    "get_explored",
    "get_mask",
    "globally",
    "gmp",
    "granet",
    "in_proportion",
    "itop",
    "n_of_m",
    "prefer_unexplored",
    "random_growth",
    "rigl",
    "set_rule",
    "smallest",
    "smallest_global",
    "snfs",
    "snip",
    "sparse_evolution",
    "static_sparse",
]
