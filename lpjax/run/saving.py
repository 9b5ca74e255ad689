"""When the progress of training is saved: every so many steps, and at the notice that the machine is taken away.

SIGTERM is that notice. Of a single process the handler of `on_notice` hears it; of several, JAX's own runtime does, and
agrees with all of them on the step at which they stop.
"""

import itertools
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, SimpleNamespace, TracebackType
from typing import Any, Protocol, TypeVar, cast

import jax
import numpy as np
from jax.experimental import multihost_utils

from lpjax import store, train
from lpjax.run.job import Job
from lpjax.run.processes import told

NOTHING = np.zeros((1, 3))
"""What a training has seen before its first step: a row of no images, since no empty array is stored."""

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


class Record(Protocol):
    """A NamedTuple: all that the loop of a training carries."""

    def _asdict(self) -> dict[str, Any]: ...


T = TypeVar("T", bound=Record)


class Saver:
    """Saves the progress of one training while it goes on; used as a context manager around its loop."""

    def __init__(self, job: Job, directory: Path, what: str) -> None:
        """Prepares to save; nothing is written yet.

        Args:
          job: How often, and the size of its batches.
          directory: Where the progress lies.
          what: Is trained, in errors: `'level 3'`.
        """
        self.directory, self.what = directory, what
        self.every, self.batch_size = job.steps(job.config.save_every), job.config.train.batch_size
        self._last = 0
        self._saved: int | None = None
        self._due = False
        self._writing: Future[None] | None = None

    def __enter__(self) -> "Saver":
        _notice.training = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with suppress(*(() if kind is None else (store.CannotWrite,))):  # the first error is the one to tell
                self.wait()
        finally:
            _notice.training = False
        if kind is None and _notice.came:
            raise Preempted

    def resume(self, begun: T) -> T:
        """Goes on where the progress was saved, if it was.

        Args:
          begun: All that the loop carries, at the start.

        Returns:
          The same, as it was saved (arrays on the host); or at the start.

        Raises:
          DamagedProgress: If other bytes lie there than were saved.
        """
        fields, record = begun._asdict(), cast("Callable[..., T]", type(begun))
        self._last = int(fields["state"].step)
        if not told(lambda: store.exists(self.directory)):
            return begun
        numbers = {name: type(value) for name, value in fields.items() if isinstance(value, int | float)}
        trees = {name: tree for name, tree in fields.items() if not isinstance(tree, int | float | np.ndarray | None)}
        stored = store.restore_progress(self.directory, trees)
        stored |= {name: number(stored[name]) for name, number in numbers.items()}
        self._last = self._saved = int(stored["state"].step)
        return record(**fields | stored)

    def due(self, step: int) -> bool:
        """Tells whether to save; asked after every call of the device, by every process.

        Args:
          step: Steps done.

        Returns:
          Whether a multiple of `save_every` was passed since the last save, or a notice came.
        """
        self._due = self._due or step // self.every > self._last // self.every or _noticed()
        return self._due

    def keep(self, step: int, training: Record) -> None:
        """Begins to save if that is due, and stops after a notice.

        Args:
          step: Steps done.
          training: All that the loop carries; its buffers may be donated afterwards.

        Raises:
          Preempted: After a notice; the progress is on disk.
          CannotWrite: If the disk did not take this progress, or the one before.
        """
        if self.due(step) and step != self._saved:
            self.save(step, training)
        if _notice.came:
            self.wait()
            raise Preempted

    def save(self, step: int, training: Record) -> None:
        """Begins to save; see `keep`."""
        self.wait()
        self._writing = store.save_progress(self.directory, **training._asdict())
        self._last = self._saved = step
        self._due = False

    def move(self, directory: Path) -> None:
        """Saves somewhere else from now on; what lies where it saved so far stays.

        Args:
          directory: Where.
        """
        self.directory = directory

    def wait(self) -> None:
        """Waits until what was begun is written.

        Raises:
          CannotWrite: If the disk did not take it.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def ensure_finite(self, moment: train.Moment) -> None:
        """Refuses to go on with, and to save, what no longer computes.

        Args:
          moment: Of the training.

        Raises:
          ValueError: If a loss is not finite, naming the first step (of several in one call of the device, the last).
        """
        images, losses, _ = moment.seen.T
        if np.isfinite(losses).all():
            return
        first = int(np.argmin(np.isfinite(losses)))
        step = moment.step - int(np.sum(-(-images[first + 1 :] // self.batch_size)))
        kept = f"the start of {self.what}" if self._saved is None else f"the progress of step {self._saved}"
        raise ValueError(
            f"the loss is {losses[first]} at step {step} of {self.what}; lower train.learning_rate in another work "
            f"directory: from what is kept here, {kept}, the same command would come to the same"
        )


def _hear(number: int, frame: FrameType | None) -> None:
    del number, frame
    _notice.came = True
    if not _notice.training:
        raise Preempted


def _noticed() -> bool:
    if jax.process_count() > 1 and multihost_utils.reached_preemption_sync_point(next(_calls)):
        _notice.came = True
    return _notice.came
