"""SIGTERM: the notice that the machine is about to be taken away.

Of a single process the handler of `on_notice` hears it; of several, JAX's own runtime does, and agrees with all of them
on the step at which they stop.
"""

import itertools
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, SimpleNamespace

import jax
from jax.experimental import multihost_utils

_notice = SimpleNamespace(training=False, came=False)
_calls = itertools.count()  # the runtime wants steps that never fall, from level to level


class Preempted(SystemExit):
    """SIGTERM came; the same command goes on where this one was. Exits with code 143, as the shell has it."""

    def __init__(self) -> None:
        """Sets the code."""
        super().__init__(128 + signal.SIGTERM)


@contextmanager
def on_notice() -> Iterator[None]:
    """Lets SIGTERM stop a run without loss: training is saved first, anything else stops at once.

    Nothing changes outside the main thread, which alone may handle signals, and where JAX's runtime does.

    Yields:
      Nothing.

    Raises:
      Preempted: When SIGTERM came.
    """
    if threading.current_thread() is not threading.main_thread() or jax.distributed.is_initialized():
        yield
        return
    before = signal.signal(signal.SIGTERM, _hear)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)
        _notice.came = False


@contextmanager
def heard_later() -> Iterator[None]:
    """Lets a notice wait: who trains asks for it with `noticed`, saves and stops.

    Yields:
      Nothing.

    Raises:
      Preempted: At the end, if nobody asked in time.
    """
    _notice.training = True
    try:
        yield
    finally:
        _notice.training = False
    if _notice.came:
        raise Preempted


def noticed(*, ask: bool = False) -> bool:
    """Tells whether a notice came; of several processes, whether all know.

    Args:
      ask: Whether to ask the others, where there are any; every process does so after every call of the device.

    Returns:
      Whether to stop.
    """
    if ask and jax.process_count() > 1 and multihost_utils.reached_preemption_sync_point(next(_calls)):
        _notice.came = True
    return _notice.came


def heed() -> None:
    """Stops here if a notice came; every process of several does so at the same places, where little would be lost.

    Raises:
      Preempted: If so.
    """
    if noticed(ask=True):
        raise Preempted


def _hear(number: int, frame: FrameType | None) -> None:
    del number, frame
    _notice.came = True
    if not _notice.training:
        raise Preempted
