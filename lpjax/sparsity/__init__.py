"""Arithmetic on pytrees: masks, scores, selection, allocation, mixing. Knows no network, no data, no disk."""

from lpjax.sparsity.allocate import apportion, erk, uniform
from lpjax.sparsity.masks import (
    apply_mask,
    assert_on_mask,
    density,
    density_per_leaf,
    ensure_fits,
    expand_mask,
    full_mask,
    kept,
    kept_per_leaf,
    like_parameter,
    total,
    warn_empty_leaves,
)
from lpjax.sparsity.mix import accumulator, lerp, mean
from lpjax.sparsity.names import ensure_same_shapes, ensure_same_structure, leaf_name, named_leaves, rebuild
from lpjax.sparsity.prunable import (
    Predicate,
    Prunable,
    Stacked,
    all_leaves,
    as_tree,
    by_path,
    convolution_kernels,
    input_axes,
    kernels,
    prunable_leaves,
    stacked_axes,
)
from lpjax.sparsity.scores import gradient, magnitude, random, saliency
from lpjax.sparsity.select import select, select_per_leaf
from lpjax.sparsity.structured import InputAxes, select_n_of_m, ungrouped
from lpjax.sparsity.summary import summary

__all__ = [
    "InputAxes",
    "Predicate",
    "Prunable",
    "Stacked",
    "accumulator",
    "all_leaves",
    "apply_mask",
    "apportion",
    "as_tree",
    "assert_on_mask",
    "by_path",
    "convolution_kernels",
    "density",
    "density_per_leaf",
    "ensure_fits",
    "ensure_same_shapes",
    "ensure_same_structure",
    "erk",
    "expand_mask",
    "full_mask",
    "gradient",
    "input_axes",
    "kept",
    "kept_per_leaf",
    "kernels",
    "leaf_name",
    "lerp",
    "like_parameter",
    "magnitude",
    "mean",
    "named_leaves",
    "prunable_leaves",
    "random",
    "rebuild",
    "saliency",
    "select",
    "select_n_of_m",
    "select_per_leaf",
    "stacked_axes",
    "summary",
    "total",
    "ungrouped",
    "uniform",
    "warn_empty_leaves",
]
