"""The pool methods: the engine with some of its choices bound, each a row of one table."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from lpjax import sparsity
from lpjax.pools.lottery import Evaluate, Pool, PoolState, PyTree, Recalibrate, Trial, pool
from lpjax.pools.reference import reference
from lpjax.types import Ticket, as_partial, call_compiled


def running_mean(tried: jax.Array) -> jax.Array:
    """Compute the coefficient `[1]` that keeps an equal-weight mean, `1 / (n + 2)` for the candidate after `n` others.

    Example:
      >>> running_mean(jnp.array(0)).tolist()
      [0.5]
    """
    return 1 / (jnp.asarray(tried, float)[None] + 2)


def recalibrated(
    evaluate: Evaluate,
    recalibrate: Recalibrate,
    *,
    chunk: int = 1,
    prunable: sparsity.Prunable = sparsity.kernels,
) -> Pool:
    """Build the control: the ticket itself with recalibrated batch statistics. It takes no candidates.

    Pools are recalibrated and plain tickets are not, so part of a pool's gain may come from recalibration alone. This
    control measures that part.

    Args:
      evaluate: `params -> value` on validation.
      recalibrate: `(params, key) -> params` with fresh batch statistics.
      chunk: Ignored.
      prunable: Which leaves are pruned.

    Returns:
      `Pool(init, step, ticket)`; `step` raises ValueError.
    """
    del chunk
    engine = pool(evaluate, recalibrate, prunable=prunable)
    recalibrate = as_partial(recalibrate)

    def init(ticket: Ticket, key: jax.Array | None = None, value: jax.Array | float | None = None) -> PoolState:
        checked = engine.init(ticket, key, 0.0)
        params = call_compiled(recalibrate, checked.params, key)
        return engine.init(Ticket(params, checked.mask), key, value)

    def step(state: PoolState, candidate: PyTree) -> tuple[PoolState, Trial]:
        raise ValueError("recalibrated: got a candidate, but this control takes none")

    return engine._replace(init=init, step=step)


class Method(NamedTuple):
    """A row of the table.

    Attributes:
      build: `(evaluate, recalibrate, *, chunk, prunable) -> Pool`, with further settings of the engine where they are
        free.
      about: A one-line description.
      reference: Where it comes from.
      candidates: Whether it takes any candidates.
      selects: Whether it needs values on validation; if not, `evaluate` may be None.
      settings: Which of `pool.*` a run takes from its config for it; the others are bound or have no effect.
    """

    build: Callable[..., Pool]
    about: str
    reference: str
    candidates: bool = True
    selects: bool = True
    settings: tuple[str, ...] = ()


METHODS: dict[str, Method] = {
    "recalibrated": Method(
        build=recalibrated,
        candidates=False,
        about="The ticket with recalibrated BatchNorm statistics: the control.",
        reference="this library",
    ),
    "interpolation": Method(
        build=pool,
        about="Each candidate at the best of several coefficients, if validation does not fall.",
        reference="Lottery Pools",
        settings=("coefficients", "accept", "prune", "recalibration_batches", "coarse_stride", "rank_by"),
    ),
    "average": Method(
        build=partial(pool, coefficients=(0.5,)),
        about="Each candidate averaged in, if validation does not fall.",
        reference="Lottery Pools (Average)",
        settings=("accept", "prune", "recalibration_batches"),
    ),
    "best_single": Method(
        build=partial(pool, coefficients=(1.0,), accept=">"),
        about="The one ticket that is best on validation once pruned to the anchor's density.",
        reference="this library",
    ),
    "swa": Method(
        build=partial(pool, coefficients=running_mean, accept="always"),
        about="The running mean of all tickets, pruned to the anchor's count after every candidate, without selection.",
        reference="Izmailov et al., UAI 2018",
        selects=False,
    ),
    "ema_decay": Method(
        build=partial(pool, coefficients=(0.05,), accept="always"),
        about="A moving average that keeps 0.95 of the anchor at every candidate.",
        reference="Lottery Pools, Figure 3b, conventional orientation",
        selects=False,
    ),
    "ema_newest": Method(
        build=partial(pool, coefficients=(0.95,), accept="always"),
        about="A moving average that gives 0.95 to every candidate, as the authors' code does.",
        reference="Lottery Pools, Figure 3b, the code's orientation",
        selects=False,
    ),
    "uniform": Method(
        build=partial(pool, coefficients=running_mean, accept="always", prune="after"),
        about="The equal-weight mean of all tickets, pruned once at the end.",
        reference="Wortsman et al., Model Soups, ICML 2022",
        selects=False,
    ),
    "reference": Method(
        build=reference,
        about="Interpolation by the rule of the authors' code, from a given starting value, sometimes one weight "
        "short: to replay their log.",
        reference="Lottery Pools, as released",
        settings=("coefficients",),
    ),
}
STANDARD = (
    "recalibrated",
    "interpolation",
    "average",
    "best_single",
    "swa",
    "ema_decay",
    "ema_newest",
    "uniform",
)
"""The methods that a run builds by default."""
