"""A network of a work directory, ready to predict."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
from ml_collections import ConfigDict

from lpjax import models, store, tickets
from lpjax.errors import UserError
from lpjax.run.config import default_config, resolve, upgrade
from lpjax.run.saved import load_ticket
from lpjax.run.setup import Setup, build_module, prepare
from lpjax.store import paths
from lpjax.types import Apply, Ticket


class LoadedNetwork(NamedTuple):
    """A ticket with its network.

    Attributes:
      ticket: Its variables and mask.
      predict: Images uint8 `[B, H, W, C]` to logits `[B, classes]`.
      setup: The data, the network and what measures it.
    """

    ticket: Ticket
    predict: Callable[[jax.Array], jax.Array]
    setup: Setup


def load(workdir: Path, seed: int = 0, level: int = 0, pool: str = "", *, dtype: str = "") -> LoadedNetwork:
    """Load a ticket, or the pool around it, with its network and its data.

    Args:
      workdir: Of a run.
      seed: Of the run.
      level: Number of prunings done; of a pool, its anchor's.
      pool: The method of the pool, such as `'interpolation'`; empty for the ticket.
      dtype: Of the computation, `'float32'` or `'bfloat16'`; empty for that of the run.

    Returns:
      The network. The data set is loaded too, since it says how images are normalized.

    Raises:
      UserError: If there is no such network, or it is damaged.
    """
    workdir = Path(workdir)
    config = config_of(workdir)
    if dtype:
        config.dtype = dtype
    setup = prepare(resolve(config))
    directory = paths.pool(workdir, seed, pool, level) if pool else paths.level(workdir, seed, level)
    if not store.exists(paths.ticket(directory)):
        raise UserError(f"{directory} holds no ticket; give a seed, a level and a pool of this run")
    ticket = load_ticket(setup, directory)
    return LoadedNetwork(ticket, predictor(setup, setup.network.apply, ticket), setup)


def predictor(setup: Setup, apply: Apply, ticket: Ticket) -> Callable[[jax.Array], jax.Array]:
    """Return the function from images uint8 `[B, H, W, C]` to logits `[B, classes]`, compiled when first called."""

    @jax.jit
    def predict(images: jax.Array) -> jax.Array:
        logits, _ = apply(ticket.params, setup.data.preprocess(images))
        return logits

    return predict


def smaller_network(ticket: Ticket, setup: Setup) -> tuple[Ticket, Apply]:
    """Shrink a ticket of a run, and build the network that computes with what is left.

    Raises:
      UserError: If the network is your own, whose channel graph is not known.
    """
    if setup.network.graph is None:
        raise UserError(
            f"shrink: the channel graph of {setup.config.model} is not known; use lpjax.shrink with a graph of your own"
        )
    shrunk = tickets.shrink(ticket, setup.network.graph)
    module = build_module(setup.config, setup.data)
    return shrunk.ticket, models.bind(module.clone(widths=shrunk.widths))


def config_of(workdir: Path) -> ConfigDict:
    """Read the config of a work directory; settings that did not exist when it was written have their default."""
    path = paths.config(workdir)
    if not path.exists():
        raise UserError(f"{workdir} holds no config.json; give the work directory of a run")
    config = default_config()
    config.update(upgrade(store.read_json(path)))
    return config
