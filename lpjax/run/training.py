"""The one training loop: it checks, records and saves; what is special to a kind of network is left to its caller."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lpjax import store, train
from lpjax.run import preemption
from lpjax.run.hosts import ReplicatedError, broadcast_from_process0
from lpjax.run.setup import Setup
from lpjax.run.stage import Progress, logger
from lpjax.store import paths
from lpjax.types import Variables, as_partial, call_compiled

NO_METRICS = np.zeros((1, 3))
"""The metrics of a training before its first step: a row of no images, since no empty array is stored."""


Training = Any
"""A NamedTuple of all that a loop carries, and what a checkpoint of it holds. It has at least the fields

- `state`, of the optimizer's last step;
- `seen`, `[N, 3]`: the metrics of the calls of the device since the last line, after a row of no images;
- `lines`, written to `metrics.jsonl` so far.
"""


@contextmanager
def training_loop(setup: Setup, directory: Path, what: str, progress: Progress) -> Iterator["Loop"]:
    """Surround a training: a signal to stop waits for it, and a checkpoint begun is finished at the end.

    Args:
      setup: How often to save, and the data.
      directory: The level's that is trained.
      what: The name of the training in messages, such as `'level 3'`.
      progress: Of the stage.

    Raises:
      StorageError: If the disk did not take the last checkpoint.
      Preempted: If a signal came that the loop did not see.
    """
    loop = Loop(setup, directory, what, progress)
    with preemption.defer_preemption():
        try:
            yield loop
        except BaseException:
            with suppress(store.StorageError):  # the first error is the one to report
                loop.wait()
            raise
        loop.wait()


class Loop:
    """Trains, and saves checkpoints while it does; from `training_loop`.

    Attributes:
      directory: The level's that is trained; metrics and checkpoints go there.
      training: All that the loop carries. Who iterates over `events` may replace it after every event.
    """

    training: Training

    def __init__(self, setup: Setup, directory: Path, what: str, progress: Progress) -> None:
        """Prepare to train; see `training_loop`."""
        self.setup = setup
        self.directory = directory
        self.what = what
        self.progress = progress
        self._save_every = setup.steps(setup.config.save_every)
        self._last_step = 0  # at the last save, or where the loop began
        self._saved_step: int | None = None
        self._save_now = False
        self._writing: Future[None] | None = None

    def resume(self, training: Training) -> None:
        """Continue at the checkpoint, if there is one, else begin with `training`; cut metrics back to that point.

        A checkpoint of a version whose training states had another structure is left: the level starts again.

        Raises:
          DamagedProgress: If the checkpoint or the metrics are not what was saved.
        """
        self.training = training
        self._last_step = int(training.state.step)
        directory = paths.progress(self.directory)
        if broadcast_from_process0(lambda: store.exists(directory)):
            self._restore(directory)
        metrics = paths.metrics(self.directory)
        broadcast_from_process0(lambda: store.truncate_metrics(metrics, self.training.lines))

    def _restore(self, directory: Path) -> None:
        begun = self.training._asdict()
        numbers = {}
        trees = {}
        for name, value in begun.items():
            if isinstance(value, int | float):
                numbers[name] = type(value)
            elif value is not None and not isinstance(value, np.ndarray):
                trees[name] = value
        try:
            stored = store.restore_progress(directory, trees)
        except store.DamagedProgress:
            raise
        except ValueError as error:
            if jax.process_index() == 0:
                logger.info("lpjax: %s starts again: another version saved its progress (%s)", self.what, error)
            return
        for name, number in numbers.items():
            stored[name] = number(stored[name])
        self.training = type(self.training)(**begun | stored)
        self._last_step = self._saved_step = int(self.training.state.step)

    def events(
        self,
        step: train.Step,
        key: jax.Array,
        *,
        stop: int,
        yield_at: Sequence[int] = (),
        save_last: bool = True,
    ) -> Iterator[train.TrainEvent]:
        """Train to a step; every event leaves its state and metrics in `training` before it is yielded.

        Args:
          step: The compiled training step.
          key: For orders and augmentations.
          stop: The last step.
          yield_at: Steps to yield at, besides the ends of epochs.
          save_last: Whether a save that is due at the last step takes place.

        Yields:
          The events of `train.fit`. When the next one is asked for, a checkpoint is saved if it is due.

        Raises:
          ReplicatedError: If a loss or weight is not finite.
          Preempted: After a signal; the checkpoint is on disk.
        """
        data = self.setup.data
        events = train.fit(
            step,
            train.replicate(self.training.state, self.setup.mesh),
            data.feed,
            key,
            images=data.size,
            batch_size=self.setup.config.train.batch_size,
            stop=stop,
            yield_at=yield_at,
            should_yield=self._should_save,
        )
        for event in events:
            self._assert_finite(event)
            metrics = np.concatenate([self.training.seen, event.metrics])
            self.training = self.training._replace(state=event.state, seen=metrics)
            yield event
            if event.step < stop or save_last:
                self._save_if_due(event.step)

    def measure(self, learning_rate: optax.Schedule) -> dict[str, Any]:
        """Evaluate the network on validation, and describe the time since the last line."""
        step = int(self.training.state.step)
        mean = train.mean_metrics(self.training.seen)
        value = validation_accuracy(self.setup, self.training.state.variables)
        return {
            "epoch": step / self.setup.steps_per_epoch,
            "step": step,
            "learning_rate": float(learning_rate(step - 1)),
            "loss": float(mean.loss),
            "accuracy": float(mean.accuracy),
            "validation_accuracy": value,
        }

    def record(self, line: dict[str, Any]) -> None:
        """Append a line to the metrics of the level."""
        store.append_metrics(paths.metrics(self.directory), line, self.setup.config.tensorboard)
        self.training = self.training._replace(seen=NO_METRICS, lines=self.training.lines + 1)

    def move_to(self, directory: Path) -> None:
        """Continue in the directory of another level, with a checkpoint there; the old checkpoint stays."""
        self.wait()
        self.directory = directory
        self.save()
        self.wait()

    def save(self) -> None:
        """Begin to save a checkpoint; buffers of `training` may be donated afterwards."""
        self.wait()
        self._writing = store.save_progress(paths.progress(self.directory), **self.training._asdict())
        self._last_step = self._saved_step = int(self.training.state.step)
        self._save_now = False

    def wait(self) -> None:
        """Wait until the checkpoint that was begun is on disk; raise `StorageError` if the disk did not take it."""
        writing = self._writing
        self._writing = None
        if writing is not None:
            writing.result()

    def _should_save(self, step: int) -> bool:
        """Tell whether to save: a multiple of `save_every` was passed, or a signal came. All processes ask."""
        passed = step // self._save_every > self._last_step // self._save_every
        self._save_now = self._save_now or passed or preemption.preemption_requested(ask=True)
        return self._save_now

    def _save_if_due(self, step: int) -> None:
        if self._should_save(step) and step != self._saved_step:
            self.save()
        if preemption.preemption_requested():
            self.wait()
            preemption.stop()

    def _assert_finite(self, event: train.TrainEvent) -> None:
        """Refuse to continue with, and to save, what is not finite; name the first step whose loss is not."""
        images, losses, _ = event.metrics.T
        step = event.step
        found = "a weight is not finite after"
        if not np.isfinite(losses).all():
            first = int(np.argmin(np.isfinite(losses)))
            step -= int(np.sum(-(-images[first + 1 :] // self.setup.config.train.batch_size)))
            found = f"the loss is {losses[first]} at"
        elif _all_finite(event.state.variables):
            return
        kept = f"the start of {self.what}" if self._saved_step is None else f"the progress of step {self._saved_step}"
        raise ReplicatedError(
            f"{found} step {step} of {self.what}; lower train.learning_rate in another work directory: resumed from "
            f"{kept}, the same command would come to the same"
        )


def validation_accuracy(setup: Setup, variables: Variables) -> float:
    """Measure the accuracy of a network on validation."""
    return float(call_compiled(as_partial(setup.measures.evaluate), variables))


@jax.jit
def _all_finite(variables: Variables) -> jax.Array:
    return jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(variables)]))
