"""When the progress of training is saved: every so many steps, and at the notice that the machine is taken away."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np

from lpjax import store, train
from lpjax.run.job import Job
from lpjax.run.notice import heard_later, noticed, stop
from lpjax.run.processes import Agreed, told
from lpjax.types import Variables

NOTHING = np.zeros((1, 3))
"""What a training has seen before its first step: a row of no images, since no empty array is stored."""


class Record(Protocol):
    """A NamedTuple: all that the loop of a training carries."""

    def _asdict(self) -> dict[str, Any]: ...


T = TypeVar("T", bound=Record)


@contextmanager
def keeping(job: Job, directory: Path, what: str) -> Iterator["Saver"]:
    """Surrounds the loop of a training: a notice waits for it, and what it began to save is written at the end.

    Args:
      job: How often to save, and the size of its batches.
      directory: Where the progress lies.
      what: Is trained, in errors: `'level 3'`.

    Yields:
      What saves.

    Raises:
      CannotWrite: If the disk did not take the last progress.
      Preempted: If a notice came that the loop did not see.
    """
    saver = Saver(job, directory, what)
    with heard_later():
        try:
            yield saver
        except BaseException:
            with suppress(store.CannotWrite):  # the first error is the one to tell
                saver.wait()
            raise
        saver.wait()


class Saver:
    """Saves the progress of one training while it goes on; from `keeping`."""

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

    def resume(self, begun: T) -> T:
        """Goes on where the progress was saved, if it was.

        Args:
          begun: All that the loop carries, at the start.

        Returns:
          The same, as it was saved (arrays on the host); or at the start, also where the progress was saved by a
          version whose training states have another structure.

        Raises:
          DamagedProgress: If other bytes lie there than were saved.
        """
        fields, record = begun._asdict(), cast("Callable[..., T]", type(begun))
        self._last = int(fields["state"].step)
        if not told(lambda: store.exists(self.directory)):
            return begun
        numbers = {name: type(value) for name, value in fields.items() if isinstance(value, int | float)}
        trees = {name: tree for name, tree in fields.items() if not isinstance(tree, int | float | np.ndarray | None)}
        try:
            stored = store.restore_progress(self.directory, trees)
        except store.DamagedProgress:
            raise
        except ValueError as error:
            if jax.process_index() == 0:
                print(f"lpjax: {self.what} starts again: another version saved its progress ({error})", flush=True)
            return begun
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
        self._due = self._due or step // self.every > self._last // self.every or noticed(ask=True)
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
        if noticed():
            self.wait()
            stop()

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

    def ensure_finite(self, event: train.TrainEvent) -> None:
        """Refuses to go on with, and to save, what no longer computes.

        Args:
          event: Of the training.

        Raises:
          ValueError: If a loss or a weight is not finite, naming the first step whose loss is not (of several steps in
            one call of the device, the last).
        """
        images, losses, _ = event.metrics.T
        step, found = event.step, "a weight is not finite after"
        if not np.isfinite(losses).all():
            first = int(np.argmin(np.isfinite(losses)))
            step -= int(np.sum(-(-images[first + 1 :] // self.batch_size)))
            found = f"the loss is {losses[first]} at"
        elif _all_finite(event.state.variables):
            return
        kept = f"the start of {self.what}" if self._saved is None else f"the progress of step {self._saved}"
        raise Agreed(
            f"{found} step {step} of {self.what}; lower train.learning_rate in another work "
            f"directory: from what is kept here, {kept}, the same command would come to the same"
        )


@jax.jit
def _all_finite(variables: Variables) -> jax.Array:
    return jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(variables)]))
