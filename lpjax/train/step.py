"""One training step, as computed by each device."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from lpjax.types import Apply, Augment, Batch, Variables

PyTree = Any


class TrainState(NamedTuple):
    """The state that training steps update.

    Attributes:
      step: Position on the learning-rate schedule, in optimizer steps, int32 scalar.
      variables: Parameters and running BatchNorm statistics.
      opt_state: The optimizer's state.
    """

    step: jax.Array
    variables: Variables
    opt_state: optax.OptState


class StepMetrics(NamedTuple):
    """Metrics of one batch, before the update.

    Attributes:
      loss: Mean cross entropy in nats, float32 scalar.
      accuracy: Fraction of the batch classified correctly, float32 scalar.
    """

    loss: jax.Array
    accuracy: jax.Array


Step = Callable[[TrainState, Batch, jax.Array, jax.Array], tuple[TrainState, StepMetrics]]


def initial_state(variables: Variables, optimizer: optax.GradientTransformation, step: int = 0) -> TrainState:
    """Make the initial training state, at any position of the learning-rate schedule.

    Args:
      variables: Parameters and batch statistics to start from.
      optimizer: An optax transform.
      step: Position on the schedule; a rewound ticket starts at the step it was rewound to.

    Returns:
      The state before the first step. Its buffers are copies, which steps may donate. Schedule counters are `step`;
      moments and their counters are 0.
    """

    def is_schedule(state: Any) -> bool:
        return isinstance(state, optax.ScaleByScheduleState)

    count = jnp.asarray(step, jnp.int32)

    def at_step(state: Any) -> Any:
        return state._replace(count=count) if is_schedule(state) else state

    opt_state = jax.tree.map(at_step, optimizer.init(variables.params), is_leaf=is_schedule)
    return jax.tree.map(jnp.copy, TrainState(count, variables, opt_state))


def take_batch(data: Batch, indices: jax.Array) -> Batch:
    """Take the images and labels at given indices `[B]` of a split."""
    return Batch(data.images[indices], data.labels[indices])


def identity_batch(data: Batch, indices: jax.Array) -> Batch:
    """Return the data as they are, for data that are a batch already, e.g. from a stream."""
    del indices
    return data


def cross_entropy(logits: jax.Array, labels: jax.Array, smoothing: float = 0.0) -> jax.Array:
    """Compute the mean cross entropy against (smoothed) labels.

    Args:
      logits: `[B, classes]`, float32.
      labels: `[B]`, integers.
      smoothing: Fraction of the target distributed uniformly over all classes, in [0, 1).

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
    take: Callable[[Batch, jax.Array], Batch] = take_batch,
) -> Step:
    """Build a training step: take a batch, augment it, compute gradients, update.

    Running statistics follow `s ← m s + (1 - m) s_batch`. The augmentation of an image depends only on the key, the
    step and the index of the image, not on how a batch is sharded over devices.

    Args:
      apply: The network.
      optimizer: An optax transform that ends on the mask, e.g. `lpjax.fixed_mask(sgd(...), mask)`.
      augment: Keys and uint8 images to normalized floats.
      label_smoothing: In [0, 1).
      stats_momentum: `m`; PyTorch's default momentum of 0.1 is 0.9 here.
      axis_name: The mapped axis over which batches are sharded; gradients, loss and statistics are those of the global
        batch.
      take: Makes the batch of data and indices; `identity_batch` if the data are the batch.

    Returns:
      `step(state, data, indices [B] or [K, B], key) -> (state, metrics)`. Indices `[K, B]` run K steps in one call,
      and the metrics are their means.
    """

    def single(state: TrainState, data: Batch, indices: jax.Array, key: jax.Array) -> tuple[TrainState, StepMetrics]:
        keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.fold_in(key, state.step), indices)
        batch = take(data, indices)
        images = augment(keys, batch.images)

        def loss_of(params: PyTree) -> tuple[jax.Array, tuple[jax.Array, PyTree]]:
            variables = Variables(params, state.variables.stats)
            logits, stats = apply(variables, images, train=True, axis_name=axis_name)
            return cross_entropy(logits, batch.labels, label_smoothing), (logits, stats)

        params = _varying(state.variables.params, axis_name)
        (loss, (logits, stats)), grads = jax.value_and_grad(loss_of, has_aux=True)(params)
        accuracy = jnp.mean(jnp.argmax(logits, -1) == batch.labels, dtype=jnp.float32)
        grads, stats, metrics = _global_mean((grads, stats, StepMetrics(loss, accuracy)), axis_name)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.variables.params)
        params = optax.apply_updates(state.variables.params, updates)
        running_stats = jax.tree.map(running_average, state.variables.stats, stats)
        return TrainState(state.step + 1, Variables(params, running_stats), opt_state), metrics

    def running_average(old: jax.Array, new: jax.Array) -> jax.Array:
        return stats_momentum * old + (1 - stats_momentum) * new

    def step(state: TrainState, data: Batch, indices: jax.Array, key: jax.Array) -> tuple[TrainState, StepMetrics]:
        if indices.ndim == 1:
            return single(state, data, indices, key)
        # XLA:CPU runs convolutions inside a loop 25 times slower (jax#12868), so a single step has no loop.
        if indices.shape[0] == 1:
            return single(state, data, indices[0], key)
        state, metrics = lax.scan(lambda s, rows: single(s, data, rows, key), state, indices)
        return state, jax.tree.map(jnp.mean, metrics)

    return step


def _varying(params: PyTree, axis_name: str | None) -> PyTree:
    """Mark parameters as varying, so that no `check_vma` mode of `shard_map` sums gradients over devices."""
    if axis_name is None:
        return params
    return jax.tree.map(lambda p: lax.pcast(p, axis_name, to="varying"), params)


def _global_mean(tree: PyTree, axis_name: str | None) -> PyTree:
    if axis_name is None:
        return tree
    return lax.pmean(tree, axis_name)
