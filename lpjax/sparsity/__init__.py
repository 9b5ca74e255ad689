"""Arithmetic on pytrees: masks, scores, selection, allocation, mixing. Knows no network, no data, no disk."""

from lpjax.sparsity.allocate import apportion, erk, uniform
from lpjax.sparsity.masks import (
    Prunable,
    apply_mask,
    by_path,
    convolution_kernels,
    density,
    ensure_fits,
    full_mask,
    kept,
    kept_per_leaf,
    kernels,
    leaf_name,
    total,
)
from lpjax.sparsity.mix import lerp, mean
from lpjax.sparsity.names import ensure_same_structure, named_leaves, rebuild
from lpjax.sparsity.scores import gradient, magnitude, random, saliency
from lpjax.sparsity.select import select, select_per_leaf
from lpjax.sparsity.structured import select_n_of_m

__all__ = [
    "Prunable",
    "apply_mask",
    "apportion",
    "by_path",
    "convolution_kernels",
    "density",
    "ensure_fits",
    "ensure_same_structure",
    "erk",
    "full_mask",
    "gradient",
    "kept",
    "kept_per_leaf",
    "kernels",
    "leaf_name",
    "lerp",
    "magnitude",
    "mean",
    "named_leaves",
    "random",
    "rebuild",
    "saliency",
    "select",
    "select_n_of_m",
    "select_per_leaf",
    "total",
    "uniform",
]
