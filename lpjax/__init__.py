"""Lottery tickets, pools of tickets and sparse training in JAX.

The names here are optax transforms and pure functions over any pytree; they need JAX, NumPy and optax alone. The
submodules hold the rest and are imported when first used: `lpjax.transforms` (the rules that methods are made of),
`lpjax.pools`, `lpjax.tickets`, `lpjax.sparsity`, `lpjax.metrics`, `lpjax.train`, `lpjax.models`, `lpjax.data`,
`lpjax.store`, `lpjax.interop`.
"""

import importlib
from typing import Any

from lpjax.command import extra as _extra
from lpjax.pools import neighbors, pool, superpose
from lpjax.sparsity import (
    all_leaves,
    apply_mask,
    assert_on_mask,
    by_path,
    check_channels,
    convolution_kernels,
    density,
    density_per_leaf,
    erk,
    full_mask,
    kept,
    kernels,
    lerp,
    magnitude,
    mean,
    saliency,
    select,
    select_channels,
    select_per_leaf,
    summary,
    total,
    uniform,
)
from lpjax.tickets import imp, shrink
from lpjax.transforms import (
    dsr,
    dynamic_sparse,
    fixed_mask,
    get_explored,
    get_mask,
    gmp,
    granet,
    itop,
    n_of_m,
    rigl,
    snfs,
    snip,
    sparse_evolution,
    static_sparse,
)
from lpjax.types import Ticket
from lpjax.version import __version__

__all__ = [
    "Ticket",
    "__version__",
    "all_leaves",
    "apply_mask",
    "assert_on_mask",
    "by_path",
    "check_channels",
    "convolution_kernels",
    "density",
    "density_per_leaf",
    "dsr",
    "dynamic_sparse",
    "erk",
    "fixed_mask",
    "full_mask",
    "get_explored",
    "get_mask",
    "gmp",
    "granet",
    "imp",
    "itop",
    "kept",
    "kernels",
    "lerp",
    "magnitude",
    "mean",
    "n_of_m",
    "neighbors",
    "pool",
    "rigl",
    "saliency",
    "select",
    "select_channels",
    "select_per_leaf",
    "shrink",
    "snfs",
    "snip",
    "sparse_evolution",
    "static_sparse",
    "summary",
    "superpose",
    "total",
    "uniform",
]

_SUBMODULES = (
    "data",
    "interop",
    "metrics",
    "models",
    "pools",
    "report",
    "run",
    "sparsity",
    "store",
    "tickets",
    "train",
    "transforms",
    "types",
)


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        with _extra("run"):
            return importlib.import_module(f"lpjax.{name}")
    raise AttributeError(f"module 'lpjax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES})
