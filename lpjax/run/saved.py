"""The saved networks of a work directory: which there are, and how one is read back."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax

from lpjax import store
from lpjax.errors import UserError
from lpjax.run.setup import Setup
from lpjax.store import paths
from lpjax.types import Ticket

TICKET = "ticket"
TICKETS_HELD = 2**30
"""Bytes of tickets that a search holds in host memory: 19 of a ResNet-18, 270 of a ResNet-20."""


class SavedNetwork(NamedTuple):
    """A network in a work directory, whether it is there yet or not.

    Attributes:
      method: `'ticket'`, or the name of the pool.
      level: Number of prunings done; of a pool, its anchor's.
      directory: The level's or the pool's.
    """

    method: str
    level: int
    directory: Path


def networks(workdir: Path, seed: int, levels: Sequence[int], methods: Sequence[str]) -> list[SavedNetwork]:
    """List the tickets of a seed, then its pools."""
    found = [SavedNetwork(TICKET, level, paths.level(workdir, seed, level)) for level in levels]
    for method in methods:
        for level in levels:
            found.append(SavedNetwork(method, level, paths.pool(workdir, seed, method, level)))
    return found


def load_ticket(setup: Setup, directory: Path) -> Ticket:
    """Restore the ticket of a level or pool, in numpy arrays.

    Raises:
      UserError: If it is damaged, or of another architecture.
    """
    try:
        return store.restore_ticket(paths.ticket(directory), setup.network.like)
    except store.DamagedTicket:
        raise
    except ValueError as error:
        raise UserError(str(error)) from error


def ticket_reader(setup: Setup, held: int = TICKETS_HELD) -> Callable[[Path], Ticket]:
    """Return a `load_ticket` that holds what it read, up to `held` bytes; the tickets beyond are read every time."""
    tickets: dict[Path, Ticket] = {}
    room = held

    def load(directory: Path) -> Ticket:
        nonlocal room
        if directory in tickets:
            return tickets[directory]
        ticket = load_ticket(setup, directory)
        size = sum(leaf.nbytes for leaf in jax.tree.leaves(ticket))
        if size <= room:
            room -= size
            tickets[directory] = ticket
        return ticket

    return load
