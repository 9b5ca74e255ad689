"""What every process of a run says of itself on the disk: signs of life for whoever looks in from outside."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jax

from lpjax.store import paths

_EVERY = 3.0  # seconds between two signs of one stage


@contextmanager
def watch(workdir: Path) -> Iterator[None]:
    """Keeps a status of this process in a work directory, from now until the block ends.

    Every process has a file of its own (`store.paths.status`), a few seconds old at most while units are counted:
    `process` of `processes`, `host`, `pid`, `since` when it runs; `state`, which is `'working'`, `'finished'` or
    `'stopped'`; of the stage at hand its name, what is `done` of `total` in its `unit`, a `note`, and the `rate` in
    units a second; `when` it was said. A disk that refuses loses the status and nothing else.

    Args:
      workdir: The run's, claimed already.

    Yields:
      Nothing.
    """
    status = _Status(workdir)
    token = _WATCHED.set(status)
    status.tell("working", stage="starting")
    try:
        yield
    except BaseException as error:
        told_to = isinstance(error, SystemExit | KeyboardInterrupt)
        status.tell(
            "stopped", note="it was told to" if told_to else " ".join(str(error).split()) or type(error).__name__
        )
        raise
    else:
        status.tell("finished", note="")
    finally:
        _WATCHED.reset(token)


def tell(*, at_once: bool, **stage: Any) -> None:
    """Says how far a stage is; nothing where no work directory is watched.

    Args:
      at_once: Whether to write it however young the last sign is.
      **stage: JSON values: `stage`, `done`, `total`, `unit`, `note`, `rate`.
    """
    status = _WATCHED.get()
    if status and (at_once or time.monotonic() >= status.due):
        status.tell("working", **stage)


class _Status:
    def __init__(self, workdir: Path) -> None:
        self.path, self.due = paths.status(workdir, jax.process_index()), 0.0
        self.record = {
            "process": jax.process_index(),
            "processes": jax.process_count(),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "since": _now(),
        }

    def tell(self, state: str, **stage: Any) -> None:
        self.record |= {"state": state, **stage, "when": _now()}
        self.due = time.monotonic() + _EVERY
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(exist_ok=True)
            beside.write_text(json.dumps(self.record, indent=2, default=float) + "\n", encoding="utf-8")
            beside.replace(self.path)
        except OSError:  # what is told of the work is not worth the work
            with suppress(OSError):
                beside.unlink(missing_ok=True)


_WATCHED: ContextVar[_Status | None] = ContextVar("lpjax_watched", default=None)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
