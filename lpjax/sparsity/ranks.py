"""What selection compares: scores as unsigned integers of the same order."""

import jax
import jax.numpy as jnp
from jax import lax


def ranks(score: jax.Array, kept: jax.Array) -> jax.Array:
    """Map float32 or float64 scores to unsigned integers of the same order, above 0 where a weight is kept, else 0."""
    unsigned = jnp.uint64 if score.dtype == jnp.float64 else jnp.uint32
    zero = jnp.zeros((), unsigned)
    bits = lax.bitcast_convert_type(score, unsigned)
    sign = jnp.asarray(1 << (jnp.iinfo(unsigned).bits - 1), unsigned)
    bits = jnp.where(bits == sign, zero, bits)  # -0.0 ties with 0.0; as floats subnormals would too
    bits = jnp.where(bits >= sign, ~bits, bits | sign)
    return jnp.where(kept, bits, zero)


def explicitly_split(leaf: jax.Array) -> bool:
    """Tell whether an array is split over the explicit axes of a mesh."""
    return any(axes is not None for axes in jax.typeof(leaf).sharding.spec)
