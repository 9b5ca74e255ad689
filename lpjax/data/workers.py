"""Processes that work for this one: they leave signals to it, and end with it."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker


@contextmanager
def deaf() -> Iterator[None]:
    """Lets threads and processes be started that never hear SIGINT and SIGTERM, from their first moment on.

    Ctrl-C and the notice of a batch system go to whole groups of processes; what this one still needs to save its work
    must not be gone by then. It ends the others itself.

    Yields:
      Nothing; this thread hears neither signal meanwhile.
    """
    resource_tracker.ensure_running()  # whoever starts it, which multiprocessing does unasked, is deaf no longer
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent(*_: int) -> None:
    """Ends this process as soon as the one that started it is gone, however that ended.

    Linux has a signal for this (PR_SET_PDEATHSIG), but it comes when the *thread* that started the process ends.
    """
    threading.Thread(target=_outlive, args=(multiprocessing.parent_process(),), daemon=True).start()


def _outlive(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)
