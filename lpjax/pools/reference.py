"""The search as the authors' code runs it, for whoever holds a log of theirs."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from lpjax.pools.lottery import INTERPOLATION, Evaluate, Over, Pool, PoolState, Recalibrate, pool
from lpjax.sparsity import kept, total
from lpjax.types import Ticket


def float_count(kept: int, total: int) -> int:
    """Passes a count through the authors' floats: `int(N * (100 (1 - zeros / N) / 100))`, truncated.

    Args:
      kept: Living prunable weights.
      total: Prunable weights `N`.

    Returns:
      `kept`, or one less where the float falls short of it.

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
    over: Over = lax.map,
) -> Pool:
    """Builds the search that replays the authors' log: their start, their strict `>`, their float count.

    Their anchor starts at its accuracy on *test*, which nothing here can see: `init` must be given that number.

    Args:
      evaluate: `variables -> value` on validation.
      recalibrate: `(variables, key) -> variables`; to follow the log, over all training images in stored order.
      coefficients: Weights of the newcomer.
      chunk: Candidates evaluated at once.
      over: What maps a function over the grid; see `pool`.

    Returns:
      `Pool(init, step, ticket)`; `init(ticket, key, value)` wants the anchor's first value.

    Raises:
      ValueError: By `init`, if no value is given.

    References:
      Yin et al., Lottery Pools, AAAI 2023, as released.

    Departs from the authors' code:
      Their recalibration sees shuffled and augmented images, which no replay can repeat. Weights that tie at the cut
      fall by index, where theirs keeps them all. Variances are biased, theirs are larger by n / (n - 1) with n = B H W,
      below 0.1 %.
    """
    engine = pool(evaluate, recalibrate, coefficients=coefficients, accept=">", chunk=chunk, over=over)

    def init(ticket: Ticket, key: jax.Array, value: float | None = None) -> PoolState:
        if value is None:
            raise ValueError("the reference search has no starting value; give the anchor's, as the log has it")
        count = float_count(int(kept(ticket.mask)), total(ticket.mask))
        return engine.init(ticket, key, value)._replace(kept=jnp.asarray(count, jnp.int32))

    return engine._replace(init=init)
