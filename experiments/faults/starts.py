"""Starts the command many times, quickly: a process that has imported everything is forked for each start."""

import os
import resource
import sys
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from pathlib import Path

CACHE = {
    "JAX_COMPILATION_CACHE_DIR": str(Path.home() / ".cache" / "lpjax" / "faults"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",  # starts are many here
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
# What the command imports only when it needs it, too. None of it looks for devices: those cannot be forked.
_IMPORTED = ["lpjax.main", "sklearn.datasets", "matplotlib.pyplot", "orbax.checkpoint", "experiments.faults.starts"]


def other_flags() -> str:
    """Return the flags of XLA in the environment, without a number of simulated devices."""
    return " ".join(flag for flag in os.environ.get("XLA_FLAGS", "").split() if "device_count" not in flag)


def start(arguments: Sequence[str], log: Path, largest: int | None = None) -> ForkServerProcess:
    """Start `python -m lpjax.main`.

    Args:
      arguments: Of the command line.
      log: Where its errors go, behind what is there; what else it prints goes beside it, to `*.out`.
      largest: Bytes of the largest file it may write; None for no limit.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    for name, value in CACHE.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker")  # killed starts leave semaphores for it to free
    context = get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    process = context.Process(target=_command, args=(list(arguments), log, largest), daemon=True)
    process.start()
    return process


def finish(arguments: Sequence[str], log: Path, largest: int | None = None) -> int:
    """Start the command, wait for its end and return its exit code."""
    process = start(arguments, log, largest)
    process.join()
    assert process.exitcode is not None
    return process.exitcode


def _command(arguments: list[str], log: Path, largest: int | None) -> None:
    from absl import app

    from lpjax import main

    for descriptor, path in ((1, log.with_suffix(".out")), (2, log)):
        with path.open("ab") as file:
            os.dup2(file.fileno(), descriptor)
    if largest is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    os.environ["XLA_FLAGS"] = other_flags()  # one device
    os.environ["JAX_PLATFORMS"] = "cpu"
    sys.argv = ["lpjax.main", *arguments]
    app.run(main.main, flags_parser=main.parse)
