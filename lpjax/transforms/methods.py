"""The methods of sparse training, each a row of one table."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

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
    """

    build: Callable[..., optax.GradientTransformationExtraArgs]
    choices: tuple[str, ...]
    about: str
    reference: str


_PERIODIC = ("every", "until", "drop_fraction")
METHODS: dict[str, Method] = {
    "uniform": Method(
        partial(static_sparse, allocate=sparsity.uniform), (), "A random mask, every layer equally dense.", "folklore"
    ),
    "erk": Method(
        partial(static_sparse, allocate=sparsity.erk),
        (),
        "A random mask, small layers denser.",
        "Evci et al., ICML 2020",
    ),
    "snip": Method(snip, (), "The first gradient chooses the mask.", "Lee et al., ICLR 2019"),
    "set": Method(
        sparse_evolution,
        _PERIODIC,
        "Drops the smallest weights, grows random ones.",
        "Mocanu et al., Nature Communications 2018",
    ),
    "rigl": Method(
        rigl, _PERIODIC, "Drops the smallest weights, grows where gradients are largest.", "Evci et al., ICML 2020"
    ),
    "itop": Method(itop, _PERIODIC, "RigL with long pauses and no end.", "Liu et al., ICML 2021"),
    "granet": Method(
        granet,
        (*_PERIODIC, "end", "initial_density"),
        "Gradual pruning of the whole, regrowth inside every layer.",
        "Liu et al., NeurIPS 2021",
    ),
    "gmp": Method(gmp, ("every", "until", "end"), "Gradual pruning alone, from dense.", "Zhu and Gupta, 2017"),
    "snfs": Method(
        snfs,
        _PERIODIC,
        "Regrowth by averaged gradients, most where layers learn most.",
        "Dettmers and Zettlemoyer, 2019",
    ),
    "dsr": Method(
        dsr,
        _PERIODIC,
        "Drops the smallest weights of the network, grows where many survive.",
        "Mostafa and Wang, ICML 2019",
    ),
    "2:4": Method(n_of_m, ("end",), "Trains dense, then keeps two of every four inputs.", "Mishra et al., 2021"),
}
