"""Lottery tickets, pools of tickets and sparse training in JAX.

The names here are the pure functions that compose with other people's code; rooms hold the rest (`lpjax.train`,
`lpjax.models`, `lpjax.data`, `lpjax.store`).
"""

from lpjax.pools import adjacent, pool, superpose
from lpjax.sparsity import (
    apply_mask,
    by_path,
    convolution_kernels,
    density,
    erk,
    full_mask,
    kept,
    kernels,
    lerp,
    magnitude,
    saliency,
    select,
    select_per_leaf,
    total,
    uniform,
)
from lpjax.tickets import Trained, imp
from lpjax.transforms import (
    dsr,
    evolve,
    explored_of,
    gmp,
    granet,
    hold,
    itop,
    mask_of,
    n_of_m,
    rigl,
    snfs,
    snip,
    sparse_evolution,
    static,
)
from lpjax.types import Batch, Ticket, Variables
from lpjax.version import __version__

__all__ = [
    "Batch",
    "Ticket",
    "Trained",
    "Variables",
    "__version__",
    "adjacent",
    "apply_mask",
    "by_path",
    "convolution_kernels",
    "density",
    "dsr",
    "erk",
    "evolve",
    "explored_of",
    "full_mask",
    "gmp",
    "granet",
    "hold",
    "imp",
    "itop",
    "kept",
    "kernels",
    "lerp",
    "magnitude",
    "mask_of",
    "n_of_m",
    "pool",
    "rigl",
    "saliency",
    "select",
    "select_per_leaf",
    "snfs",
    "snip",
    "sparse_evolution",
    "static",
    "superpose",
    "total",
    "uniform",
]
