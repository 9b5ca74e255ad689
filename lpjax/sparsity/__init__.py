"""Arithmetic on pytrees: masks, scores, selection, allocation, mixing. Knows no network, no data, no disk."""

from lpjax.sparsity.allocate import erk, uniform
from lpjax.sparsity.masks import (
    Prunable,
    apply_mask,
    by_path,
    convolution_kernels,
    density,
    full_mask,
    kept,
    kernels,
    leaf_name,
    total,
)
from lpjax.sparsity.mix import lerp, mean
from lpjax.sparsity.scores import gradient, magnitude, random, saliency
from lpjax.sparsity.select import select, select_per_leaf

__all__ = [
    "Prunable",
    "apply_mask",
    "by_path",
    "convolution_kernels",
    "density",
    "erk",
    "full_mask",
    "gradient",
    "kept",
    "kernels",
    "leaf_name",
    "lerp",
    "magnitude",
    "mean",
    "random",
    "saliency",
    "select",
    "select_per_leaf",
    "total",
    "uniform",
]
