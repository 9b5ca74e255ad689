"""Being asked to stop: SIGTERM, when a machine is about to be taken away, or Ctrl-C.

A single process handles the signal itself. Of several, JAX's runtime handles SIGTERM, and agrees with all of them on
the step at which they stop.
"""

import itertools
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, SimpleNamespace

import jax
from jax.experimental import multihost_utils

_state = SimpleNamespace(deferred=False, signal=0)  # the number of the signal that came
_calls = itertools.count()  # the runtime wants step numbers that never fall, from level to level


class Preempted(SystemExit):
    """The run was asked to stop. The exit code is the shell's: 143 for SIGTERM, 130 for Ctrl-C."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        """Set the exit code for the number of a signal."""
        super().__init__(128 + number)


@contextmanager
def handle_preemption() -> Iterator[None]:
    """Let SIGTERM and Ctrl-C stop a run without loss: training is saved first, anything else stops at once.

    A second Ctrl-C does not wait. Nothing changes outside the main thread, which alone may handle signals, where JAX's
    runtime does, and for a signal that whoever started this process had ignored.

    Yields:
      Nothing.

    Raises:
      Preempted: When a signal came.
    """
    if threading.current_thread() is not threading.main_thread() or jax.distributed.is_initialized():
        yield
        return
    numbers = [number for number in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, _on_signal) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        _state.signal = 0


@contextmanager
def defer_preemption() -> Iterator[None]:
    """Let a signal wait while training saves itself; raise `Preempted` at the end if nobody asked for it."""
    _state.deferred = True
    try:
        yield
    finally:
        _state.deferred = False
    if _state.signal:
        raise Preempted(_state.signal)


def preemption_requested(*, ask: bool = False) -> bool:
    """Tell whether to stop.

    Args:
      ask: Whether to ask the other processes, if there are any: every process does so after every call of the device.
    """
    if ask and multihost_utils.reached_preemption_sync_point(next(_calls)):
        _state.signal = signal.SIGTERM
    return bool(_state.signal)


def check_preemption() -> None:
    """Raise `Preempted` if the run was asked to stop; every process asks at the same places. Not while deferred."""
    if not _state.deferred and preemption_requested(ask=True):
        raise Preempted(_state.signal)


def stop() -> None:
    """Raise `Preempted` for the signal that came."""
    raise Preempted(_state.signal)


def _on_signal(number: int, frame: FrameType | None) -> None:
    if number == signal.SIGINT and _state.signal:
        raise KeyboardInterrupt
    _state.signal = number
    # An exception inside JAX's callback for garbage collection is printed and lost: `check_preemption` raises later.
    if not _state.deferred and not (frame and frame.f_code.co_name == "_xla_gc_callback"):
        raise Preempted(number)
