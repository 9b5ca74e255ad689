"""Storage of the prunable weights of a network, in dense and sparse formats."""

import math
import operator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from lpjax import sparsity

PyTree = Any


class Storage(NamedTuple):
    """Bytes of the prunable weights in three formats.

    Attributes:
      dense: All weights.
      bitmask: One bit per weight, rounded up to bytes per leaf, and the kept values.
      csr: Compressed sparse rows: the kept values, their column indices, and the row pointers.
    """

    dense: int
    bitmask: int
    csr: int


def storage(mask: PyTree, bytes_per_value: int = 4, *, prunable: sparsity.Prunable = sparsity.kernels) -> Storage:
    """Count the bytes of the prunable weights under a mask; not jittable.

    For CSR, a leaf is a matrix whose rows are the output channels (the last axis of `[kh, kw, in, out]`), and whose
    columns are the other axes. Column indices and row pointers of a leaf are unsigned integers of 16 bits if the
    largest one fits, otherwise of 32 bits.

    Args:
      mask: A bool tree.
      bytes_per_value: Bytes per weight, e.g. 4 for float32, 2 for bfloat16.
      prunable: Which leaves count.

    Returns:
      Bytes summed over the prunable leaves.

    Example:
      >>> diagonal = {'w': jnp.eye(4, 2, dtype=bool), 'b': jnp.ones(2, bool)}
      >>> storage(diagonal)
      Storage(dense=32, bitmask=9, csr=18)

    References:
      Buluç et al., SPAA 2009 (CSR).
    """
    counts = jax.device_get(jax.tree.leaves(sparsity.kept_per_leaf(mask, prunable)))
    chosen = sparsity.prunable_leaves(mask, prunable)
    total = Storage(0, 0, 0)
    for leaf, count, counted in zip(jax.tree.leaves(mask), counts, chosen, strict=True):
        if counted:
            total = Storage(*map(operator.add, total, _storage_of_leaf(jnp.shape(leaf), int(count), bytes_per_value)))
    return total


def _storage_of_leaf(shape: tuple[int, ...], kept: int, width: int) -> Storage:
    rows = shape[-1]
    columns = math.prod(shape[:-1])
    size = rows * columns
    values = kept * width
    csr = values + kept * _index_bytes(columns - 1) + (rows + 1) * _index_bytes(kept)
    return Storage(size * width, values + -(-size // 8), csr)


def _index_bytes(largest: int) -> int:
    return 2 if largest < 2**16 else 4
