"""Arithmetic on pytrees: masks, scores, selection, allocation, mixing. Knows no network, no data, no disk.

Read in this order: `names` (leaves by name), `prunable` (which leaves count), `masks` (counts and the table of them),
`scores`, `ranks` and `select` (the highest scores by exact count), `channels` (which axes carry the same
channels), `structured` (N:M, and whole channels), `allocate` (densities of layers), `mix` (averages).
"""

from lpjax.sparsity.allocate import apportion, erk, uniform  # noqa: F401
from lpjax.sparsity.channels import (
    Axis,
    BatchNorm,
    ChannelGraph,
    ChannelGroup,
    Writer,
    channel_sizes,
    check_channels,
    permute_channels,
)
from lpjax.sparsity.masks import (  # noqa: F401
    apply_mask,
    assert_on_mask,
    density,
    density_per_leaf,
    ensure_fits,
    expand_mask,
    fit_mask,
    full_mask,
    kept,
    kept_per_leaf,
    like_parameter,
    summary,
    total,
    warn_empty_leaves,
    with_scalars,
)
from lpjax.sparsity.mix import accumulator, lerp, mean  # noqa: F401
from lpjax.sparsity.names import (  # noqa: F401
    ensure_same_shapes,
    ensure_same_structure,
    leaf_name,
    leaf_names,
    named_leaves,
    rebuild,
)
from lpjax.sparsity.prunable import (  # noqa: F401
    Predicate,
    Prunable,
    Stacked,
    all_leaves,
    as_tree,
    by_path,
    choose_leaves,
    convolution_kernels,
    input_axes,
    kernels,
    prunable_leaves,
    replace_leaves,
    stacked_axes,
)
from lpjax.sparsity.scores import gradient, magnitude, random, saliency
from lpjax.sparsity.select import select, select_per_leaf
from lpjax.sparsity.structured import InputAxes, select_channels, select_n_of_m, ungrouped  # noqa: F401

# What users call; the other names serve the packages above.
__all__ = [
    "Axis",
    "BatchNorm",
    "ChannelGraph",
    "ChannelGroup",
    "InputAxes",
    "Predicate",
    "Prunable",
    "Stacked",
    "Writer",
    "all_leaves",
    "apply_mask",
    "assert_on_mask",
    "by_path",
    "channel_sizes",
    "check_channels",
    "convolution_kernels",
    "density",
    "density_per_leaf",
    "erk",
    "full_mask",
    "gradient",
    "kept",
    "kept_per_leaf",
    "kernels",
    "lerp",
    "magnitude",
    "mean",
    "permute_channels",
    "random",
    "saliency",
    "select",
    "select_channels",
    "select_n_of_m",
    "select_per_leaf",
    "summary",
    "total",
    "uniform",
]
