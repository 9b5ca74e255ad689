"""The methods of sparse training, each a row of one table."""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import optax

from lpjax import sparsity
from lpjax.transforms.dense_to_sparse import gmp, granet, n_of_m
from lpjax.transforms.foresight import snip
from lpjax.transforms.sparse_to_sparse import dsr, itop, rigl, snfs, sparse_evolution, static_sparse


class Method(NamedTuple):
    """A row of the table.

    Attributes:
      build: `(inner, density, **choices) -> transform`.
      choices: What it takes of `every`, `until`, `end`, `drop_fraction`, `initial_density`; all take `key`,
        `prunable`, `extra_updates`.
      about: One sentence for people.
      reference: Where it comes from.
      changes: How often training changes the mask, extra updates aside.
      dense_gradient: When growth needs the gradient of pruned weights, as `lpjax.metrics.training_flops` takes it.
      first_step_selects: Whether the first step chooses the mask and leaves the weights where they are.
      only_density: The one density that it reaches, if it is fixed.
    """

    build: Callable[..., optax.GradientTransformationExtraArgs]
    choices: tuple[str, ...]
    about: str
    reference: str
    changes: Literal["never", "once", "periodically"] = "periodically"
    dense_gradient: Literal["never", "at updates", "always"] = "never"
    first_step_selects: bool = False
    only_density: float | None = None


_PERIODIC = ("every", "until", "drop_fraction")
METHODS: dict[str, Method] = {
    "uniform": Method(
        build=partial(static_sparse, allocate=sparsity.uniform),
        choices=(),
        about="A random mask, every layer equally dense.",
        reference="folklore",
        changes="never",
    ),
    "erk": Method(
        build=partial(static_sparse, allocate=sparsity.erk),
        choices=(),
        about="A random mask, small layers denser.",
        reference="Evci et al., ICML 2020",
        changes="never",
    ),
    "snip": Method(
        build=snip,
        choices=(),
        about="The first gradient chooses the mask.",
        reference="Lee et al., ICLR 2019",
        changes="once",
        first_step_selects=True,
    ),
    "set": Method(
        build=sparse_evolution,
        choices=_PERIODIC,
        about="Drops the smallest weights, grows random ones.",
        reference="Mocanu et al., Nature Communications 2018",
    ),
    "rigl": Method(
        build=rigl,
        choices=_PERIODIC,
        about="Drops the smallest weights, grows where gradients are largest.",
        reference="Evci et al., ICML 2020",
        dense_gradient="at updates",
    ),
    "itop": Method(
        build=itop,
        choices=_PERIODIC,
        about="RigL with longer intervals between mask updates, which by default never stop.",
        reference="Liu et al., ICML 2021",
        dense_gradient="at updates",
    ),
    "granet": Method(
        build=granet,
        choices=(*_PERIODIC, "end", "initial_density"),
        about="Gradual pruning of the whole, regrowth inside every layer.",
        reference="Liu et al., NeurIPS 2021",
        dense_gradient="at updates",
    ),
    "gmp": Method(
        build=gmp,
        choices=("every", "until", "end"),
        about="Gradual pruning alone, from dense.",
        reference="Zhu and Gupta, 2017",
    ),
    "snfs": Method(
        build=snfs,
        choices=_PERIODIC,
        about="Regrowth by averaged gradients, most where layers learn most.",
        reference="Dettmers and Zettlemoyer, 2019",
        dense_gradient="always",
    ),
    "dsr": Method(
        build=dsr,
        choices=_PERIODIC,
        about="Drops the smallest weights of the network, grows where many survive.",
        reference="Mostafa and Wang, ICML 2019",
    ),
    "2:4": Method(
        build=n_of_m,
        choices=("end",),
        about="Trains dense, then keeps two of every four inputs.",
        reference="Mishra et al., 2021",
        changes="once",
        only_density=0.5,
    ),
}
