"""Several processes in one run: they find each other, and the first one looks at the disk for all.

Every process runs the same program. Whatever decides how it continues (which levels are done, whether a setting is
refused) must be the same on all of them, or one waits forever for the others; and a shared file system may show a new
file to one host later than to another. So only process 0 looks, and broadcasts what it saw.
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
from lpjax.errors import StorageError, UserError
from lpjax.wording import backend_in_use, found_no_cluster

T = TypeVar("T")

HEARTBEAT = 30
"""Seconds without a heartbeat after which JAX takes a process for dead and stops the others; its own default is 100."""

_PATIENCE = 20.0  # seconds
_WAITING = "lpjax: waiting for the other processes of the run; JAX gives up after five minutes"
_ADDRESS = re.compile(r"(?P<address>[^,\s]+:(?P<port>\d+)),(?P<count>\d+),(?P<index>\d+)")
_SINGLE_PROCESS = {"SLURM_NTASKS": "1", "OMPI_COMM_WORLD_SIZE": "1"}
_LAUNCHERS = (
    "CLOUD_TPU_TASK_ID",
    "JAX_COORDINATOR_ADDRESS",
    "KUBERNETES_",
    "MEGASCALE_",
    "OMPI_",
    "SLURM_",
    "TPU_PROCESS_ADDRESSES",
    "TPU_WORKER_HOSTNAMES",
)
"""How the variables begin by which JAX finds the other processes of a run."""
_PROCESS_PER_HOST = {"SLURM_STEP_TASKS_PER_NODE": r"1(\(x\d+\))?", "OMPI_COMM_WORLD_LOCAL_SIZE": "1"}


class ReplicatedError(UserError):
    """A user's mistake that every process of the run raises at the same point; one of them prints it."""


class ReplicatedStorageError(StorageError):
    """What the disk refused to process 0, raised on every process at the same point."""


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


def parse_place(distributed: str) -> Place | None:
    """Parse `config.distributed`; None for `'auto'` and `'none'`.

    Raises:
      UserError: If it has another form than `'auto'`, `'none'` or `'HOST:PORT,COUNT,INDEX'`.

    Example:
      >>> parse_place('10.0.0.1:1234,2,0')
      Place(address='10.0.0.1:1234', processes=2, process=0)
    """
    if distributed in ("auto", "none"):
        return None
    found = _ADDRESS.fullmatch(distributed)
    if found and int(found["port"]) < 1 << 16 and int(found["index"]) < int(found["count"]):
        return Place(found["address"], int(found["count"]), int(found["index"]))
    raise UserError(
        f"distributed: got {distributed!r}, expected 'auto', 'none' or 'HOST:PORT,COUNT,INDEX' with the address of the "
        "first process and an index from 0 to COUNT - 1"
    )


def join(distributed: str) -> None:
    """Join the other processes of a run, before anything is computed.

    `'auto'` is JAX's own detection: TPU slices, SLURM, Open MPI, `JAX_COORDINATOR_ADDRESS`. Processes of SLURM and Open
    MPI get one GPU each, or all GPUs if there is one process per host, or those that `JAX_LOCAL_DEVICE_IDS` names.

    Args:
      distributed: As for `parse_place`.

    Raises:
      UserError: If it has another form, or the others cannot be reached.
    """
    place = parse_place(distributed)
    if distributed == "none" or (distributed == "auto" and _environment_matches(_SINGLE_PROCESS)):
        return
    waiting = threading.Timer(_PATIENCE, print, [_WAITING], {"file": sys.stderr, "flush": True})
    waiting.start()
    try:
        jax.distributed.initialize(**_options(place), heartbeat_timeout_seconds=HEARTBEAT)
    except Exception as error:  # of detection, names, sockets, time: types differ from version to version
        if not place and found_no_cluster(error):
            return
        if backend_in_use(error):
            if not place and not _started_by_launcher():
                return
            raise UserError(
                "the config file uses JAX devices when it is loaded, which rules out joining other processes; compute "
                "nothing with jax there, or give --config.distributed=none for a run of one process"
            ) from error
        raise UserError(
            f"the processes of the run do not find each other ({str(error).strip().splitlines()[0]}); give "
            "--config.distributed='HOST:PORT,COUNT,INDEX', or 'none' for a run of one process"
        ) from error
    finally:
        waiting.cancel()
    if jax.process_count() > 1:
        _connect_devices()


def _options(place: Place | None) -> dict[str, Any]:
    """Return the arguments of `jax.distributed.initialize` for a place, or for JAX's own detection."""
    if place:
        return {
            "coordinator_address": place.address,
            "num_processes": place.processes,
            "process_id": place.process,
            "cluster_detection_method": "deactivate",
        }
    if _environment_matches(_PROCESS_PER_HOST) and "JAX_LOCAL_DEVICE_IDS" not in os.environ:
        return {"local_device_ids": []}  # no restriction; by default JAX would take the first GPU alone
    return {}


def broadcast_from_process0(look: Callable[[], T]) -> T:
    """Call a function on process 0 alone, and return its value on every process; each of them must ask.

    Args:
      look: Returns JSON values.

    Returns:
      What it returned there; as JSON brings it (lists for tuples) if there are several processes.

    Raises:
      UserError: On every process, if `look` raised it; likewise `StorageError`.

    Example:
      >>> broadcast_from_process0(lambda: [1, 2])
      [1, 2]
    """
    if jax.process_count() == 1:
        return look()
    answer: dict[str, Any] = {}
    failure: Exception | None = None
    if jax.process_index() == 0:
        try:
            answer = {"value": look()}
        except UserError as error:
            answer = {"mistake": str(error)}
        except StorageError as error:
            answer = {"storage": str(error)}
        except Exception as error:  # the others must not wait for an answer that never comes
            answer = {"failure": f"{type(error).__name__}: {error}"}
            failure = error
    answer = json.loads(_broadcast(json.dumps(answer).encode()))
    if "mistake" in answer:
        raise ReplicatedError(answer["mistake"])
    if "storage" in answer:
        raise ReplicatedStorageError(answer["storage"])
    if "failure" in answer:
        raise failure or RuntimeError(f"process 0 failed: {answer['failure']}")
    return answer["value"]


def assert_equal_across_processes(value: dict[str, Any], what: str) -> None:
    """Raise `UserError` on every process whose nested dict differs from that of process 0; each of them must ask.

    Example:
      >>> assert_equal_across_processes({'seeds': (0, 1)}, 'config')
    """
    ours = store.flat_fields(value)
    first = store.flat_fields(broadcast_from_process0(lambda: value))
    differing = sorted(name for name in {*ours, *first} if ours.get(name) != first.get(name))
    if differing:
        raise UserError(
            f"process {jax.process_index()} was given another {what} than process 0 ({', '.join(differing[:5])}); give "
            "all of them the same"
        )


@contextmanager
def exclusive_workdir(workdir: Path) -> Iterator[None]:
    """Lock a work directory against other runs; process 0 holds the lock.

    Raises:
      UserError: On every process, if another run is there.
    """
    with ExitStack() as held:
        broadcast_from_process0(lambda: held.enter_context(store.lock(workdir)))
        yield


def _connect_devices() -> None:
    """Connect all devices now, while all processes are here: on CPUs, JAX waits but half a minute for a late one."""
    everywhere = NamedSharding(train.mesh_of(), PartitionSpec(train.AXIS))
    ones = jax.make_array_from_callback((jax.device_count(),), everywhere, lambda _: np.ones(1, np.int32))
    jax.block_until_ready(jax.jit(jnp.sum)(ones))


def _started_by_launcher() -> bool:
    """Tell whether there may be other processes; of a TPU slice, only its metadata may say so."""
    return jax.default_backend() == "tpu" or any(name.startswith(_LAUNCHERS) for name in os.environ)


def _environment_matches(patterns: dict[str, str]) -> bool:
    return any(re.fullmatch(pattern, os.environ.get(name, "")) for name, pattern in patterns.items())


def _broadcast(message: bytes) -> bytes:
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(message))))
    padded = np.zeros(1 << max(size - 1, 0).bit_length(), np.uint8)  # few sizes, few programs
    if jax.process_index() == 0:
        padded[:size] = np.frombuffer(message, np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(padded))[:size].tobytes()
