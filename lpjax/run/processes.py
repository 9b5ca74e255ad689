"""Several processes, one run: they find each other, the first looks at the disk and writes records, others are told.

Every process runs the same program. What decides how it goes on (which levels are done, whether a setting is refused)
must be the same for all, or one waits for ever for the others; and a file system shared by many hosts may show a new
file to one of them later than to another. So only the first process looks.
"""

import json
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec

from lpjax import store, train

T = TypeVar("T")

HEARTBEAT = 30
"""Seconds without a sign of life after which a process counts as dead and JAX stops the others; JAX's own are 100."""

_PATIENCE = 20.0  # seconds
_WAITING = "lpjax: the other processes of the run are not there yet; JAX waits for five minutes"
_ADDRESS = re.compile(r"(?P<address>[^,\s]+:(?P<port>\d+)),(?P<count>\d+),(?P<index>\d+)")
_ALONE = {"SLURM_NTASKS": "1", "OMPI_COMM_WORLD_SIZE": "1"}
_OWN_HOST = {"SLURM_STEP_TASKS_PER_NODE": r"1(\(x\d+\))?", "OMPI_COMM_WORLD_LOCAL_SIZE": "1"}


class Agreed(ValueError):  # noqa: N818 ("Error" would add nothing)
    """What stops every process at once, and for the same reason; one of them says it."""


class Place(NamedTuple):
    """Where a process stands among those of its run.

    Attributes:
      address: Of the first process, `'HOST:PORT'`.
      processes: How many there are.
      process: This one, from 0.
    """

    address: str
    processes: int
    process: int


def place(distributed: str) -> Place | None:
    """Reads `config.distributed`.

    Args:
      distributed: `'auto'`, `'none'` or `'HOST:PORT,COUNT,INDEX'`.

    Returns:
      The place it names, if it names one.

    Raises:
      ValueError: If it is none of the three.

    Example:
      >>> place('10.0.0.1:1234,2,0')
      Place(address='10.0.0.1:1234', processes=2, process=0)
    """
    if distributed in ("auto", "none"):
        return None
    found = _ADDRESS.fullmatch(distributed)
    if found and int(found["port"]) < 1 << 16 and int(found["index"]) < int(found["count"]):
        return Place(found["address"], int(found["count"]), int(found["index"]))
    raise ValueError(
        f"distributed is {distributed!r}; give 'auto', 'none' or 'HOST:PORT,COUNT,INDEX' with the first process's "
        "address and an index from 0 to COUNT - 1"
    )


def join(distributed: str) -> None:
    """Joins the other processes of a run, before anything is computed; a process that is alone joins nobody.

    `'auto'` is JAX's own detection: TPU slices, SLURM, Open MPI, `JAX_COORDINATOR_ADDRESS`. SLURM's and Open MPI's
    processes get one GPU each, or all if there is one process a host, or those that `JAX_LOCAL_DEVICE_IDS` names.

    Args:
      distributed: As for `place`.

    Raises:
      ValueError: If it is of another form, or the others cannot be reached.
    """
    here = place(distributed)
    if distributed == "none" or (distributed == "auto" and _matches(_ALONE)):
        return
    given: dict[str, Any] = {}
    if here:
        given = {"coordinator_address": here.address, "num_processes": here.processes, "process_id": here.process}
        given["cluster_detection_method"] = "deactivate"
    elif _matches(_OWN_HOST) and "JAX_LOCAL_DEVICE_IDS" not in os.environ:
        given = {"local_device_ids": []}  # no restriction; by default JAX would take the first GPU alone
    waiting = threading.Timer(_PATIENCE, print, [_WAITING], {"file": sys.stderr, "flush": True})
    waiting.start()
    try:
        jax.distributed.initialize(**given, heartbeat_timeout_seconds=HEARTBEAT)
    except Exception as error:  # of detection, names, sockets, time: kinds differ from version to version
        if not here and "coordinator_address" in str(error):
            return  # JAX found nothing that starts several processes
        raise ValueError(
            f"the processes of the run do not find each other ({str(error).strip().splitlines()[0]}); give "
            "--config.distributed='HOST:PORT,COUNT,INDEX', or 'none' for a run of one process"
        ) from error
    finally:
        waiting.cancel()
    if jax.process_count() > 1:
        _meet()


def told(look: Callable[[], T]) -> T:
    """Lets the first process look, and tells all the others what it saw; each of them must ask.

    Args:
      look: Returns JSON values; called on the first process alone.

    Returns:
      What it returned there; as JSON brings it (lists for tuples) if there are several processes.

    Raises:
      ValueError: On every process, if `look` raised it.

    Example:
      >>> told(lambda: [1, 2])
      [1, 2]
    """
    if jax.process_count() == 1:
        return look()
    answer: dict[str, Any] = {}
    if jax.process_index() == 0:
        try:
            answer = {"saw": look()}
        except ValueError as error:
            answer = {"refused": str(error)}
    answer = json.loads(_broadcast(json.dumps(answer).encode()))
    if "refused" in answer:
        raise Agreed(answer["refused"])
    return answer["saw"]


def ensure_alike(value: Any, what: str) -> None:
    """Refuses to go on where processes were given different things; each of them must ask.

    Args:
      value: JSON values.
      what: They are, for people.

    Raises:
      ValueError: On every process whose value is not the first one's.

    Example:
      >>> ensure_alike({'seeds': (0, 1)}, 'config')
    """
    ours = json.loads(json.dumps(value))
    if json.loads(json.dumps(told(lambda: value))) != ours:
        raise ValueError(
            f"process {jax.process_index()} was given another {what} than the first; give all of them the same"
        )


@contextmanager
def alone(workdir: Path) -> Iterator[None]:
    """Keeps other runs out of a work directory, as long as this one lives; the first process holds the lock.

    Args:
      workdir: The run's.

    Yields:
      Nothing.

    Raises:
      ValueError: On every process, if another run is there.
    """
    with ExitStack() as held:
        told(lambda: held.enter_context(store.lock(workdir)))
        yield


def _meet() -> None:
    """Connects all devices now, while all processes are here: on CPUs, JAX waits but half a minute for a late one."""
    everywhere = NamedSharding(train.mesh_of(), PartitionSpec(train.AXIS))
    ones = jax.make_array_from_callback((jax.device_count(),), everywhere, lambda _: np.ones(1, np.int32))
    jax.block_until_ready(jax.jit(jnp.sum)(ones))


def _matches(patterns: dict[str, str]) -> bool:
    return any(re.fullmatch(pattern, os.environ.get(name, "")) for name, pattern in patterns.items())


def _broadcast(message: bytes) -> bytes:
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(message))))
    padded = np.zeros(1 << max(size - 1, 0).bit_length(), np.uint8)  # few sizes, few programs
    if jax.process_index() == 0:
        padded[:size] = np.frombuffer(message, np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(padded))[:size].tobytes()
