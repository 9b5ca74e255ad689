"""One step of SGD, written for one device of many."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from lpjax.types import Apply, Augment, Batch, Variables

PyTree = Any


class TrainState(NamedTuple):
    """What one step hands to the next.

    Attributes:
      step: Optimizer steps done on the schedule's clock, int32 scalar.
      variables: Parameters and BatchNorm's running statistics.
      opt_state: State of the optimizer.
    """

    step: jax.Array
    variables: Variables
    opt_state: optax.OptState


class StepMetrics(NamedTuple):
    """What a step saw of its batch, before its update.

    Attributes:
      loss: Mean cross entropy in nats, float32 scalar.
      accuracy: Fraction of the batch classified rightly, float32 scalar.
    """

    loss: jax.Array
    accuracy: jax.Array


Step = Callable[[TrainState, Batch, jax.Array, jax.Array], tuple[TrainState, StepMetrics]]


def initial_state(variables: Variables, optimizer: optax.GradientTransformation, step: int = 0) -> TrainState:
    """Starts training at a point of the schedule with fresh moments.

    Args:
      variables: What to train.
      optimizer: Its optimizer.
      step: Where on the learning rate's clock to start; a rewound ticket starts at the rewind point.

    Returns:
      The state before the first step, in buffers of its own: steps may donate them. Schedule counters stand at
      `step`, counters of moments at 0.
    """

    def is_schedule(state: Any) -> bool:
        return isinstance(state, optax.ScaleByScheduleState)

    count = jnp.asarray(step, jnp.int32)
    opt_state = jax.tree.map(
        lambda s: s._replace(count=count) if is_schedule(s) else s,
        optimizer.init(variables.params),
        is_leaf=is_schedule,
    )
    return jax.tree.map(jnp.copy, TrainState(count, variables, opt_state))


def gather(data: Batch, indices: jax.Array) -> Batch:
    """Takes a batch out of a whole split.

    Args:
      data: The split.
      indices: `[B]`, which of its images.

    Returns:
      Those images and their labels.
    """
    return Batch(data.images[indices], data.labels[indices])


def whole(data: Batch, indices: jax.Array) -> Batch:
    """Takes all data for the batch, as they arrive from a stream.

    Args:
      data: `B` images and labels.
      indices: `[B]`, what each is called in its data set; their augmentation depends on it.

    Returns:
      The data.
    """
    del indices
    return data


def cross_entropy(logits: jax.Array, labels: jax.Array, smoothing: float = 0.0) -> jax.Array:
    """Computes the mean cross entropy against (smoothed) labels.

    Args:
      logits: `[B, classes]`, float32.
      labels: `[B]`, integers.
      smoothing: Share of the target spread evenly over all classes, in [0, 1).

    Returns:
      A scalar in nats.

    Example:
      >>> round(float(cross_entropy(jnp.zeros((1, 2)), jnp.array([0]))), 4)
      0.6931
    """
    targets = optax.smooth_labels(jax.nn.one_hot(labels, logits.shape[-1], dtype=logits.dtype), smoothing)
    return optax.softmax_cross_entropy(logits, targets).mean()


def train_step(
    apply: Apply,
    optimizer: optax.GradientTransformation,
    augment: Augment,
    *,
    label_smoothing: float = 0.0,
    stats_momentum: float = 0.9,
    axis_name: str | None = None,
    take: Callable[[Batch, jax.Array], Batch] = gather,
) -> Step:
    """Builds the step: take a batch, augment, differentiate, update.

    Running statistics follow `s ← m s + (1 - m) s_batch`. An image's augmentation depends on the key, the step and
    the image's index alone, so the numbers are the same however a batch is spread over devices.

    Args:
      apply: The network.
      optimizer: An optax transform that ends on the mask, e.g. `hold(sgd(...), mask)`.
      augment: Keys and uint8 images to normalized floats.
      label_smoothing: In [0, 1).
      stats_momentum: `m`; PyTorch's default momentum of 0.1 is 0.9 here.
      axis_name: The mapped axis over which batches are spread: gradients, loss and statistics are the global batch's.
      take: How a batch is had from data and indices; `whole` where the data are the batch itself.

    Returns:
      `step(state, data, indices [B] or [K, B], key) -> (state, metrics)`; with a leading axis, K steps in one call
      and the mean of their metrics.
    """

    def single(state: TrainState, data: Batch, indices: jax.Array, key: jax.Array) -> tuple[TrainState, StepMetrics]:
        keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.fold_in(key, state.step), indices)
        batch = take(data, indices)
        images, labels = augment(keys, batch.images), batch.labels

        def loss_of(params: PyTree) -> tuple[jax.Array, tuple[jax.Array, PyTree]]:
            variables = Variables(params, state.variables.stats)
            logits, stats = apply(variables, images, train=True, axis_name=axis_name)
            return cross_entropy(logits, labels, label_smoothing), (logits, stats)

        params = _varying(state.variables.params, axis_name)
        (loss, (logits, stats)), grads = jax.value_and_grad(loss_of, has_aux=True)(params)
        accuracy = jnp.mean(jnp.argmax(logits, -1) == labels, dtype=jnp.float32)
        grads, stats, metrics = _global_mean((grads, stats, StepMetrics(loss, accuracy)), axis_name)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.variables.params)
        running = jax.tree.map(
            lambda old, new: stats_momentum * old + (1 - stats_momentum) * new, state.variables.stats, stats
        )
        variables = Variables(optax.apply_updates(state.variables.params, updates), running)
        return TrainState(state.step + 1, variables, opt_state), metrics

    def step(state: TrainState, data: Batch, indices: jax.Array, key: jax.Array) -> tuple[TrainState, StepMetrics]:
        if indices.ndim == 1:
            return single(state, data, indices, key)
        # XLA:CPU runs convolutions inside a loop 25 times slower (jax#12868), so a lone step gets no loop.
        if indices.shape[0] == 1:
            return single(state, data, indices[0], key)
        state, metrics = lax.scan(lambda s, rows: single(s, data, rows, key), state, indices)
        return state, jax.tree.map(jnp.mean, metrics)

    return step


def _varying(params: PyTree, axis_name: str | None) -> PyTree:
    """Makes gradients per-device under any checking mode of shard_map; without it some modes sum them unasked."""
    if axis_name is None:
        return params
    return jax.tree.map(lambda p: lax.pcast(p, axis_name, to="varying"), params)


def _global_mean(tree: PyTree, axis_name: str | None) -> PyTree:
    return tree if axis_name is None else lax.pmean(tree, axis_name)
