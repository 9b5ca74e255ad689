"""How many bytes the prunable weights of a network take, dense and sparse."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

PyTree = Any


class Storage(NamedTuple):
    """Bytes of the prunable weights in three forms; what is never pruned takes the same in each, and is left out.

    Attributes:
      dense: Every weight, living or not.
      bitmask: One bit for every weight, in whole bytes a leaf, and the living values.
      csr: Compressed sparse rows: the living values, the column of each, and where every row begins.
    """

    dense: int
    bitmask: int
    csr: int


def storage(mask: PyTree, bytes_per_value: int = 4) -> Storage:
    """Counts the bytes that the weights under a mask take; outside jit.

    For CSR a leaf is a matrix whose rows are its output channels, the last axis of `[kh, kw, in, out]`, and whose
    columns are all other axes. Columns and row beginnings are unsigned integers, each of 16 bits where the leaf's
    largest fits, otherwise of 32.

    Args:
      mask: A total mask.
      bytes_per_value: Of a living value: 4 for float32, 2 for bfloat16.

    Returns:
      Bytes, over the prunable leaves.

    Example:
      >>> diagonal = {'w': jnp.eye(4, 2, dtype=bool), 'b': jnp.array(True)}
      >>> storage(diagonal)
      Storage(dense=32, bitmask=9, csr=18)

    References:
      Buluç et al., SPAA 2009 (CSR).
    """
    kept = jax.device_get(jax.tree.map(lambda m: jnp.sum(m, dtype=jnp.int32), mask))
    leaves = zip(jax.tree.leaves(mask), map(int, jax.tree.leaves(kept)), strict=True)
    each = [_leaf(jnp.shape(m), count, bytes_per_value) for m, count in leaves if jnp.ndim(m)]
    return Storage(*map(sum, zip(*each, strict=True))) if each else Storage(0, 0, 0)


def _leaf(shape: tuple[int, ...], kept: int, width: int) -> Storage:
    rows, columns = shape[-1], math.prod(shape[:-1])
    size, values = rows * columns, kept * width
    csr = values + kept * _index_bytes(columns - 1) + (rows + 1) * _index_bytes(kept)
    return Storage(size * width, values + -(-size // 8), csr)


def _index_bytes(largest: int) -> int:
    return 2 if largest < 2**16 else 4
