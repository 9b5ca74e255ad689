"""Training as a stream of moments: who consumes it decides what to keep, log and show."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lpjax.train.step import Step, StepMetrics, TrainState
from lpjax.types import Batch


class Moment(NamedTuple):
    """Training at the end of an epoch, or at a mark.

    Attributes:
      step: Optimiser steps done.
      state: The state then; the next moment donates its buffers, so copy what must last.
      metrics: Means over the steps since the last moment, weighed by batch.
    """

    step: int
    state: TrainState
    metrics: StepMetrics


def fit(
    step: Step,
    state: TrainState,
    data: Batch,
    key: jax.Array,
    *,
    batch_size: int,
    stop: int,
    marks: Sequence[int] = (),
    steps_per_dispatch: int = 1,
) -> Iterator[Moment]:
    """Trains to a step of the schedule, pausing after every epoch and at every mark.

    Epoch `e` visits the images in the order `permutation(fold_in(key, e))`; the last batch may be smaller. A state
    handed back starts where it stopped, with the same numbers, mid-epoch included.

    Args:
      step: From `train_step` or `data_parallel`.
      state: Where to start; its buffers may be donated.
      data: The training split, resident on the device.
      key: Decides orders and augmentations together with the step, never with the host or the number of devices.
      batch_size: Images a step.
      stop: Step to stop at.
      marks: Steps at which to pause besides epoch ends.
      steps_per_dispatch: Steps in one call of the device; 1 on CPU, where loops slow convolutions down.

    Yields:
      A `Moment` after every epoch, at every mark and at the end.
    """
    images = data.labels.shape[0]
    per_epoch = steps_per_epoch(images, batch_size)
    order_key, augment_key = jax.random.split(key)
    done = int(state.step)
    pauses = {*range(done - done % per_epoch + per_epoch, stop, per_epoch), *marks, stop}
    for pause in sorted(p for p in pauses if done < p <= stop):
        seen: list[tuple[int, StepMetrics]] = []
        epoch = done // per_epoch
        order = np.asarray(jax.random.permutation(jax.random.fold_in(order_key, epoch), images))
        span = order[(done - epoch * per_epoch) * batch_size : (pause - epoch * per_epoch) * batch_size]
        for rows in dispatches(span, batch_size, steps_per_dispatch):
            state, metrics = step(state, data, jnp.asarray(rows), augment_key)
            seen.append((rows.size, metrics))
        done = pause
        yield Moment(done, state, _weighted_mean(seen))


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
    order = order.astype(np.int32)
    size = batch_size * steps
    bulk = len(order) // size * size
    for i in range(0, bulk, size):
        yield order[i : i + size].reshape(steps, batch_size)
    for i in range(bulk, len(order), batch_size):
        yield order[None, i : i + batch_size]


def _weighted_mean(seen: list[tuple[int, StepMetrics]]) -> StepMetrics:
    sizes = [size for size, _ in seen]
    values = np.array(jax.device_get([metrics for _, metrics in seen]))
    return StepMetrics(*np.average(values, axis=0, weights=sizes))
