"""A table of what is pruned."""

from typing import Any

import jax
import numpy as np

from lpjax.sparsity.masks import fit_mask, kept_per_leaf
from lpjax.sparsity.names import leaf_name
from lpjax.sparsity.prunable import Prunable, Stacked, as_tree, kernels, prunable_leaves, stacked_axes

PyTree = Any


def summary(
    params: PyTree, mask: PyTree | None = None, *, prunable: Prunable = kernels, stacked: Stacked = None
) -> str:
    """List the leaves of a network, which of them are pruned, and how dense each is.

    Args:
      params: Parameters, or their shapes (`jax.eval_shape`): nothing need be computed to see what would be pruned.
      mask: A bool tree, to show what is kept.
      prunable: Which leaves are pruned.
      stacked: How many leading axes of a leaf index layers.

    Returns:
      A table: one line per leaf with its path, shape, whether it is pruned, and, with a mask, what is kept of it.

    Raises:
      ValueError: If no leaf is prunable, or the mask does not fit.

    Example:
      >>> print(summary({'dense': {'bias': np.zeros(3), 'kernel': np.zeros((4, 3))}}))
      leaf          shape   weights  pruned
      dense/bias    (3,)          3  no
      dense/kernel  (4, 3)       12  yes
      prunable: 12 of 15 weights in 1 of 2 leaves
    """
    if mask is not None:
        mask = fit_mask(mask, params)
    rows = [["leaf", "shape", "weights", "pruned"] + ([] if mask is None else ["kept", "density"])]
    chosen = prunable_leaves(params, prunable)
    axes = stacked_axes(params, stacked)
    counts = [0] * len(chosen)
    if mask is not None:
        counts = [int(n) for n in jax.device_get(jax.tree.leaves(kept_per_leaf(mask, as_tree(chosen, params))))]
    total = 0
    sizes = 0
    paths = jax.tree_util.tree_leaves_with_path(params)
    for (path, leaf), counted, stack, count in zip(paths, chosen, axes, counts, strict=True):
        size = int(np.prod(np.shape(leaf)))
        total += size
        sizes += size * counted
        layers = f"yes, {int(np.prod(np.shape(leaf)[:stack]))} layers" if stack else "yes"
        row = [leaf_name(path), str(tuple(np.shape(leaf))), f"{size:,}", layers if counted else "no"]
        if mask is not None:
            row += [f"{count:,}", f"{count / size:.4f}"] if counted else ["", ""]
        rows.append(row)
    lines = _aligned(rows)
    lines.append(f"prunable: {sizes:,} of {total:,} weights in {sum(chosen)} of {len(chosen)} leaves")
    if mask is not None:
        kept = sum(counts)
        lines.append(f"kept: {kept:,}, density {kept / sizes:.4f}")
    return "\n".join(lines)


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    numbers = {2, 4, 5}  # the columns of numbers are aligned right
    lines = []
    for row in rows:
        cells = [
            cell.rjust(w) if i in numbers else cell.ljust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
