"""A network of a work directory, ready to predict."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
from ml_collections import ConfigDict

from lpjax import store
from lpjax.errors import UserError
from lpjax.run.config import default_config, resolve, with_new_names
from lpjax.run.saved import load_ticket
from lpjax.run.setup import Setup, prepare
from lpjax.store import paths
from lpjax.types import Ticket


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


def load(workdir: Path, seed: int = 0, level: int = 0, pool: str = "") -> LoadedNetwork:
    """Load a ticket, or the pool around it, with its network and its data.

    Args:
      workdir: Of a run.
      seed: Of the run.
      level: Number of prunings done; of a pool, its anchor's.
      pool: The method of the pool, such as `'interpolation'`; empty for the ticket.

    Returns:
      The network. The data set is loaded too, since it says how images are normalized.

    Raises:
      UserError: If there is no such network, or it is damaged.
    """
    workdir = Path(workdir)
    setup = prepare(resolve(config_of(workdir)))
    directory = paths.pool(workdir, seed, pool, level) if pool else paths.level(workdir, seed, level)
    if not store.exists(paths.ticket(directory)):
        raise UserError(f"{directory} holds no ticket; give a seed, a level and a pool of this run")
    ticket = load_ticket(setup, directory)

    @jax.jit
    def predict(images: jax.Array) -> jax.Array:
        logits, _ = setup.network.apply(ticket.params, setup.data.preprocess(images))
        return logits

    return LoadedNetwork(ticket, predict, setup)


def config_of(workdir: Path) -> ConfigDict:
    """Read the config of a work directory; settings that did not exist when it was written have their default."""
    path = paths.config(workdir)
    if not path.exists():
        raise UserError(f"{workdir} holds no config.json; give the work directory of a run")
    config = default_config()
    config.update(with_new_names(store.read_json(path)))
    return config
