"""A table of what is pruned."""

import math
from typing import Any

import jax
import numpy as np

from lpjax.sparsity.masks import fit_mask, kept_per_leaf
from lpjax.sparsity.names import leaf_names
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
    leaves = jax.tree.leaves(params)
    chosen = prunable_leaves(params, prunable)
    sizes = [math.prod(np.shape(leaf)) for leaf in leaves]
    prunable_size = sum(size for size, counted in zip(sizes, chosen, strict=True) if counted)
    rows = [["leaf", "shape", "weights", "pruned"]]
    for name, leaf, size, counted, axes in zip(
        leaf_names(params), leaves, sizes, chosen, stacked_axes(params, stacked), strict=True
    ):
        shape = tuple(np.shape(leaf))
        rows.append([name, str(shape), f"{size:,}", _pruned(counted, shape[:axes])])
    last = [f"prunable: {prunable_size:,} of {sum(sizes):,} weights in {sum(chosen)} of {len(chosen)} leaves"]
    if mask is not None:
        counts = _counts(fit_mask(mask, params), chosen)
        rows[0] += ["kept", "density"]
        for row, size, counted, count in zip(rows[1:], sizes, chosen, counts, strict=True):
            row += [f"{count:,}", f"{count / size:.4f}"] if counted else ["", ""]
        last.append(f"kept: {sum(counts):,}, density {sum(counts) / prunable_size:.4f}")
    return "\n".join([*_aligned(rows), *last])


def _pruned(counted: bool, stack: tuple[int, ...]) -> str:
    if not counted:
        return "no"
    return f"yes, {math.prod(stack)} layers" if stack else "yes"


def _counts(mask: PyTree, chosen: list[bool]) -> list[int]:
    counts = jax.device_get(jax.tree.leaves(kept_per_leaf(mask, as_tree(chosen, mask))))
    return [int(count) for count in counts]


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = []
        for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
            is_number = column in (2, 4, 5)
            cells.append(cell.rjust(width) if is_number else cell.ljust(width))
        lines.append("  ".join(cells).rstrip())
    return lines
