"""The notice to stop: SIGTERM, as a machine is about to be taken away, or Ctrl-C.

Of a process by itself the handler of `on_notice` hears it; of several, JAX's own runtime hears SIGTERM, and agrees with
all of them on the step at which they stop.
"""

import itertools
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, SimpleNamespace
from typing import NoReturn

import jax
from jax.experimental import multihost_utils

_notice = SimpleNamespace(training=False, came=0)  # the signal's number
_calls = itertools.count()  # the runtime wants steps that never fall, from level to level


class Preempted(SystemExit):
    """A notice came; the same command goes on where this one was. Exits as the shell has it: 143, after Ctrl-C 130."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        """Sets the code.

        Args:
          number: Of the signal.
        """
        super().__init__(128 + number)


@contextmanager
def on_notice() -> Iterator[None]:
    """Lets SIGTERM and Ctrl-C stop a run without loss: training is saved first, anything else stops at once.

    A second Ctrl-C does not wait. Nothing changes outside the main thread, which alone may handle signals, where JAX's
    runtime does, and for a signal that whoever started this process had ignored.

    Yields:
      Nothing.

    Raises:
      Preempted: When one came.
    """
    if threading.current_thread() is not threading.main_thread() or jax.distributed.is_initialized():
        yield
        return
    asked = [number for number in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, _hear) for number in asked}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        _notice.came = 0


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
        raise Preempted(_notice.came)


def noticed(*, ask: bool = False) -> bool:
    """Tells whether a notice came; of several processes, whether all know.

    Args:
      ask: Whether to ask the others, where there are any; every process does so after every call of the device.

    Returns:
      Whether to stop.
    """
    if ask and multihost_utils.reached_preemption_sync_point(next(_calls)):
        _notice.came = signal.SIGTERM
    return bool(_notice.came)


def heed() -> None:
    """Stops here if a notice came; every process of several does so at the same places, where little would be lost.

    Raises:
      Preempted: If so.
    """
    if noticed(ask=True):
        stop()


def stop() -> NoReturn:
    """Stops for the notice that came.

    Raises:
      Preempted: Always.
    """
    raise Preempted(_notice.came)


def _hear(number: int, frame: FrameType | None) -> None:
    if number == signal.SIGINT and _notice.came:
        raise KeyboardInterrupt
    _notice.came = number
    # What is raised while JAX's callback collects garbage is printed and lost: there, the next `heed` stops instead.
    if not _notice.training and not (frame and frame.f_code.co_name == "_xla_gc_callback"):
        raise Preempted(number)
