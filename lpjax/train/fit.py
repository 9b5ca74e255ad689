"""The training loop, as a stream of events: the consumer decides what to save, log and display."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from lpjax.train.step import Step, StepMetrics, TrainState
from lpjax.types import Batch

Feed = Callable[[np.ndarray, jax.Array], Iterator[tuple[Batch, Any]]]
"""`(rows [N], key) -> (data, indices [K, B] on the host)`, one pair per dispatch of `K` steps, so that images are
visited in the order of `rows`. The key is the epoch's, for random numbers drawn while images are loaded."""


class TrainEvent(NamedTuple):
    """The state of training at the end of an epoch, at a requested step, or when asked to yield.

    Attributes:
      step: Optimizer steps done.
      state: The state after these steps. Its buffers are donated when training continues; copy what must be kept.
      metrics: `[N, 3]`, float64: number of images, mean loss and accuracy of every dispatch since the last event.
    """

    step: int
    state: TrainState
    metrics: np.ndarray

    @property
    def mean(self) -> StepMetrics:
        """Means of loss and accuracy over all images since the last event."""
        return mean_metrics(self.metrics)


def fit(
    step: Step,
    state: TrainState,
    feed: Feed,
    key: jax.Array,
    *,
    images: int,
    batch_size: int,
    stop: int,
    yield_at: Sequence[int] = (),
    should_yield: Callable[[int], bool] = lambda step: False,
) -> Iterator[TrainEvent]:
    """Train until a step, yielding an event after every epoch, at given steps and on request.

    Epoch `e` visits the images in the order `permutation(fold_in(key, e))`; the last batch may be smaller. Training
    resumed from a yielded state, also within an epoch, gives bit-identical results.

    Args:
      step: From `train_step` or `data_parallel`.
      state: The state to start from; its buffers may be donated.
      feed: Provides the batches, e.g. `resident(data, batch_size)`.
      key: Determines, together with the step, the order of images and their augmentation. Neither depends on the host
        or the number of devices.
      images: Number of training images.
      batch_size: Images per step.
      stop: The step to stop at.
      yield_at: Steps to yield at, in addition to the ends of epochs.
      should_yield: Called with the number of steps done after every dispatch; True yields an event there too.

    Yields:
      A `TrainEvent` after every epoch, at every step of `yield_at`, at the end, and wherever `should_yield` is True.
    """
    per_epoch = steps_per_epoch(images, batch_size)
    order_key, augment_key = jax.random.split(key)
    done = int(state.step)
    first_end = done - done % per_epoch + per_epoch
    ends = {*range(first_end, stop, per_epoch), *yield_at, stop}
    dispatched: list[tuple[int, StepMetrics]] = []
    for end in sorted(ends):
        if not done < end <= stop:
            continue
        epoch = done // per_epoch
        epoch_start = epoch * per_epoch
        order = np.asarray(jax.random.permutation(jax.random.fold_in(order_key, epoch), images))
        rows = order[(done - epoch_start) * batch_size : (end - epoch_start) * batch_size].astype(np.int32)
        for data, indices in feed(rows, jax.random.fold_in(augment_key, epoch)):
            state, metrics = step(state, data, indices, augment_key)
            dispatched.append((indices.size, metrics))
            done += len(indices)
            if done == end or should_yield(done):
                yield TrainEvent(done, state, _to_host(dispatched))
                dispatched = []


def resident(data: Batch, batch_size: int, steps_per_dispatch: int = 1) -> Feed:
    """Feed images that are in device memory.

    Args:
      data: The training split.
      batch_size: Images per step.
      steps_per_dispatch: Steps per call of the compiled step; 1 on CPU, where convolutions inside loops are slow.

    Returns:
      A feed that yields the full split with the indices of each dispatch.
    """

    def feed(rows: np.ndarray, key: jax.Array) -> Iterator[tuple[Batch, Any]]:
        del key
        for indices in dispatches(rows, batch_size, steps_per_dispatch):
            yield data, indices

    return feed


def mean_metrics(metrics: np.ndarray) -> StepMetrics:
    """Average the metrics of dispatches `[N, 3]` (number of images, loss, accuracy), weighted by numbers of images.

    Example:
      >>> mean_metrics(np.array([[3, 1.0, 0.5], [1, 2.0, 1.0]])).loss.item()
      1.25
    """
    loss, accuracy = np.average(metrics[:, 1:], axis=0, weights=metrics[:, 0])
    return StepMetrics(loss, accuracy)


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Count the batches of an epoch, including a smaller last one.

    Example:
      >>> steps_per_epoch(45_000, 128)
      352
    """
    return -(-images // batch_size)


def dispatches(order: np.ndarray, batch_size: int, steps: int) -> Iterator[np.ndarray]:
    """Split an order of images `[N]` into the index arrays `[K, B]` of successive dispatches.

    K is `steps` while enough full batches remain, then 1. A smaller last batch has its own dispatch.

    Example:
      >>> [d.shape for d in dispatches(np.arange(10), 2, 2)], [d.shape for d in dispatches(np.arange(5), 2, 2)]
      ([(2, 2), (2, 2), (1, 2)], [(2, 2), (1, 1)])
    """
    size = batch_size * steps
    bulk = len(order) // size * size
    for i in range(0, bulk, size):
        yield order[i : i + size].reshape(steps, batch_size)
    for i in range(bulk, len(order), batch_size):
        yield order[None, i : i + batch_size]


def _to_host(dispatched: list[tuple[int, StepMetrics]]) -> np.ndarray:
    rows = [(images, metrics.loss, metrics.accuracy) for images, metrics in dispatched]
    return np.array(jax.device_get(rows), np.float64)
