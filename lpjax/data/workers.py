"""Worker processes: they ignore SIGINT and SIGTERM, and end with the process that started them."""

import gc
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker


@contextmanager
def blocked_signals() -> Iterator[None]:
    """Block SIGINT and SIGTERM in threads and processes that are started within this context.

    Ctrl-C and the SIGTERM of a batch system go to whole process groups. Workers must outlive the signal, because this
    process may still need them to save its work; it ends them itself. Meanwhile, they are blocked in this thread too.
    """
    resource_tracker.ensure_running()  # if multiprocessing started it later, this thread would be unblocked again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent(*_: int) -> None:
    """Exit this process as soon as its parent process ends, for whatever reason.

    Linux's PR_SET_PDEATHSIG is no alternative: it is sent when the *thread* that started the process ends.
    """
    threading.Thread(target=_wait_and_exit, args=(multiprocessing.parent_process(),), daemon=True).start()


def _wait_and_exit(parent: multiprocessing.process.BaseProcess) -> None:
    parent.join()
    os._exit(1)


def finish_deletions() -> None:
    """Wait until Grain's thread has freed the shared memory of arrays that are gone.

    A program that ends earlier leaves the memory behind, and multiprocessing warns of it. Grain 0.2.18 has no public
    name for the thread; where a version has another, nothing is waited for.
    """
    gc.collect()  # Grain's iterators are reference cycles, which keep the last batch in shared memory
    with suppress(ImportError, AttributeError):
        from grain._src.python.ipc.shared_memory_array import SharedMemoryArray

        deletions = SharedMemoryArray._del_thread_pool  # one thread: what is asked for last is done last
        if deletions:
            deletions.apply(int)
