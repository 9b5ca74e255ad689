"""Lottery tickets, pools of tickets and sparse training in JAX.

The names here are the pure functions that compose with other people's code; rooms hold the rest (`lpjax.train`,
`lpjax.models`, `lpjax.data`, `lpjax.store`).
"""

from lpjax.pools import adjacent, pool
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
from lpjax.transforms import hold
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
    "erk",
    "full_mask",
    "hold",
    "imp",
    "kept",
    "kernels",
    "lerp",
    "magnitude",
    "pool",
    "saliency",
    "select",
    "select_per_leaf",
    "total",
    "uniform",
]
