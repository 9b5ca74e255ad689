"""Training as a stream of moments: who consumes it decides what to keep, log and show."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from lpjax.train.step import Step, StepMetrics, TrainState
from lpjax.types import Batch

Feed = Callable[[np.ndarray, jax.Array], Iterator[tuple[Batch, Any]]]
"""`(rows [N], key) -> (data, indices [K, B] on the host)`, call after call of the device, so that images are visited in
the order of `rows`. The key is the epoch's, for what is drawn while images are loaded."""


class Moment(NamedTuple):
    """Training at the end of an epoch, at a mark, or where a pause was asked for.

    Attributes:
      step: Optimizer steps done.
      state: The state then; the next moment donates its buffers, so copy what must last.
      seen: `[N, 3]`, float64: images, mean loss and accuracy of every call of the device since the last moment.
    """

    step: int
    state: TrainState
    seen: np.ndarray

    @property
    def metrics(self) -> StepMetrics:
        """Means over the steps since the last moment, weighed by batch."""
        return mean_metrics(self.seen)


def fit(
    step: Step,
    state: TrainState,
    feed: Feed,
    key: jax.Array,
    *,
    images: int,
    batch_size: int,
    stop: int,
    marks: Sequence[int] = (),
    pause: Callable[[int], bool] = lambda step: False,
) -> Iterator[Moment]:
    """Trains to a step of the schedule, pausing after every epoch, at every mark and when asked to.

    Epoch `e` visits the images in the order `permutation(fold_in(key, e))`; the last batch may be smaller. A state
    handed back starts where it stopped, with the same numbers, mid-epoch included.

    Args:
      step: From `train_step` or `data_parallel`.
      state: Where to start; its buffers may be donated.
      feed: Where batches come from, e.g. `resident(data, batch_size)`.
      key: Decides orders and augmentations together with the step, never with the host or the number of devices.
      images: Training images there are.
      batch_size: Images a step.
      stop: Step to stop at.
      marks: Steps at which to pause besides epoch ends.
      pause: Asked after every call of the device, with the steps done, whether to pause there too.

    Yields:
      A `Moment` after every epoch, at every mark, at the end, and wherever `pause` says so.
    """
    per_epoch = steps_per_epoch(images, batch_size)
    order_key, augment_key = jax.random.split(key)
    done = int(state.step)
    ends = {*range(done - done % per_epoch + per_epoch, stop, per_epoch), *marks, stop}
    seen: list[tuple[int, StepMetrics]] = []
    for end in sorted(end for end in ends if done < end <= stop):
        epoch = done // per_epoch
        order = np.asarray(jax.random.permutation(jax.random.fold_in(order_key, epoch), images))
        span = order[(done - epoch * per_epoch) * batch_size : (end - epoch * per_epoch) * batch_size]
        for data, indices in feed(span.astype(np.int32), jax.random.fold_in(augment_key, epoch)):
            state, metrics = step(state, data, indices, augment_key)
            seen.append((indices.size, metrics))
            done += len(indices)
            if done == end or pause(done):
                yield Moment(done, state, _fetched(seen))
                seen = []


def resident(data: Batch, batch_size: int, steps_per_dispatch: int = 1) -> Feed:
    """Feeds images that lie on the device.

    Args:
      data: The training split.
      batch_size: Images a step.
      steps_per_dispatch: Steps in one call of the device; 1 on CPU, where loops slow convolutions down.

    Returns:
      The feed: the whole split every time, and which of its images to take.
    """

    def feed(rows: np.ndarray, key: jax.Array) -> Iterator[tuple[Batch, Any]]:
        del key
        for indices in dispatches(rows, batch_size, steps_per_dispatch):
            yield data, indices

    return feed


def mean_metrics(seen: np.ndarray) -> StepMetrics:
    """Averages what calls of the device saw, weighed by their images.

    Args:
      seen: `[N, 3]`: images, loss, accuracy.

    Returns:
      The means.

    Example:
      >>> mean_metrics(np.array([[3, 1.0, 0.5], [1, 2.0, 1.0]])).loss.item()
      1.25
    """
    return StepMetrics(*np.average(seen[:, 1:], axis=0, weights=seen[:, 0]))


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Counts the batches of an epoch, a smaller last one included.

    Args:
      images: Training images.
      batch_size: Images a step.

    Returns:
      `ceil(images / batch_size)`.

    Example:
      >>> steps_per_epoch(45_000, 128)
      352
    """
    return -(-images // batch_size)


def dispatches(order: np.ndarray, batch_size: int, steps: int) -> Iterator[np.ndarray]:
    """Cuts an order of images into calls of the device.

    Args:
      order: `[N]`, image indices.
      batch_size: Images a step.
      steps: Full batches a call.

    Yields:
      `[K, B]` index arrays: K = `steps` while enough full batches remain, then 1; a smaller last batch comes alone.

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


def _fetched(seen: list[tuple[int, StepMetrics]]) -> np.ndarray:
    metrics = jax.device_get([metrics for _, metrics in seen])
    return np.array([(images, *values) for (images, _), values in zip(seen, metrics, strict=True)], np.float64)
