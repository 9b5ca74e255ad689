"""SGD as in the papers' code, and its learning-rate schedules."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
import optax

from lpjax.choices import one_of

SCHEDULES = ("step", "cosine", "constant")


def sgd(
    schedule: optax.Schedule, momentum: float = 0.9, weight_decay: float = 1e-4
) -> optax.GradientTransformationExtraArgs:
    """Build SGD with momentum and coupled weight decay, `v ← μv + (g + λw); w ← w - η v`, as `torch.optim.SGD` does.

    Args:
      schedule: Learning rate η as a function of the step.
      momentum: μ, in [0, 1).
      weight_decay: λ, applied to every parameter, including BatchNorm parameters and biases.

    Returns:
      An optax transform.

    Example:
      >>> tx = sgd(optax.constant_schedule(0.1), weight_decay=0.0)
      >>> params = {'w': jnp.array([1.0])}
      >>> round(tx.update({'w': jnp.array([0.5])}, tx.init(params), params)[0]['w'].item(), 6)
      -0.05
    """
    return optax.chain(optax.add_decayed_weights(weight_decay), optax.sgd(schedule, momentum=momentum))


def learning_rate(
    schedule: str, peak: float, total: int, *, milestones: Sequence[int] = (), decay: float = 0.1, warmup: int = 0
) -> optax.Schedule:
    """Build a learning-rate schedule with linear warm-up.

    `step`: `peak * decay ** #{milestones <= s}`; `cosine`: `peak * (1 + cos(π s / total)) / 2`; `constant`: `peak`.
    All are multiplied by `min(1, s / warmup)`.

    Args:
      schedule: `'step'`, `'cosine'` or `'constant'`.
      peak: The learning rate after warm-up.
      total: Total number of training steps.
      milestones: Steps at which `'step'` multiplies by `decay`.
      decay: The factor at each milestone.
      warmup: Warm-up steps; 0 disables warm-up. With warm-up, the learning rate of the first step is 0.

    Returns:
      A function from step (int) to a float32 scalar.

    Raises:
      ValueError: If the schedule is unknown.

    Example:
      >>> rate = learning_rate('step', 0.1, 100, milestones=(50,))
      >>> [round(float(rate(step)), 6) for step in (49, 50)]
      [0.1, 0.01]

    Departs from the authors' code:
      Their optional CIFAR warm-up (off by default) is `(s + 1) / warmup`; this one is that of OpenLTH.
    """
    one_of("schedule", schedule, SCHEDULES)
    decay_steps = np.asarray(sorted(milestones), np.int32)

    def rate(step: jnp.ndarray) -> jnp.ndarray:
        step = jnp.asarray(step, jnp.int32)
        scale = jnp.float32(peak)
        if schedule == "step" and decay_steps.size:  # XLA of jax 0.11 crashes on empty sharded arrays
            scale = scale * jnp.float32(decay) ** jnp.sum(step >= decay_steps).astype(jnp.float32)
        if schedule == "cosine":
            scale = scale * (1 + jnp.cos(jnp.pi * jnp.minimum(step / total, 1))) / 2
        if warmup:
            scale = scale * jnp.minimum(step / warmup, 1)
        return scale

    return rate
