"""The search as the authors' code runs it, to replay a log of theirs."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from lpjax import sparsity
from lpjax.pools.coefficients import INTERPOLATION
from lpjax.pools.lottery import Evaluate, MapFn, Pool, PoolState, Recalibrate, pool
from lpjax.types import Ticket


def float_count(kept: int, total: int) -> int:
    """Pass a count through the authors' floats, `int(N * (100 (1 - zeros / N) / 100))`, which may lose one weight.

    Example:
      >>> float_count(7_141_909, 11_159_232), float_count(8_927_386, 11_159_232)
      (7141908, 8927386)
    """
    return int(total * (100 * (1 - (total - kept) / total) / 100))


def reference(
    evaluate: Evaluate,
    recalibrate: Recalibrate,
    *,
    coefficients: Sequence[float] = INTERPOLATION,
    chunk: int = 1,
    map_fn: MapFn = lax.map,
    prunable: sparsity.Prunable = sparsity.kernels,
) -> Pool:
    """Build the search that replays the authors' log: their starting value, their strict `>`, their float count.

    Their anchor starts at its accuracy on *test*, which nothing here can reach: `init` must be given that number.

    Args:
      evaluate: `params -> value` on validation.
      recalibrate: `(params, key) -> params`; to follow the log, over all training images in stored order.
      coefficients: Weights of the candidate.
      chunk: Candidates evaluated at once.
      map_fn: What maps a function over the grid; see `pool`.
      prunable: Which leaves are pruned.

    Returns:
      `Pool(init, step, ticket)`; `init(ticket, key, value)` needs the anchor's first value.

    Raises:
      ValueError: By `init`, if no value is given.

    References:
      Yin et al., Lottery Pools, AAAI 2023, as released.

    Departs from the authors' code:
      Their recalibration uses shuffled and augmented images, which no replay can repeat. Weights that tie at the cut
      are dropped by index, where theirs keeps them all. Variances are biased; theirs are larger by n / (n - 1) with
      n = B H W, below 0.1 %.
    """
    engine = pool(
        evaluate, recalibrate, coefficients=coefficients, accept=">", chunk=chunk, map_fn=map_fn, prunable=prunable
    )

    def init(ticket: Ticket, key: jax.Array, value: float | None = None) -> PoolState:
        if value is None:
            raise ValueError(
                "value: got None, but the reference search needs the anchor's first value, as the log has it"
            )
        state = engine.init(ticket, key, value)
        count = float_count(int(state.kept), sparsity.total(state.mask, prunable))
        return state._replace(kept=jnp.asarray(count, jnp.int32))

    return engine._replace(init=init)
