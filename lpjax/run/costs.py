"""What networks and their training cost: FLOPs, of one and as shares of the dense one's."""

import math

import jax
import jax.numpy as jnp

from lpjax import metrics
from lpjax.run.arms import Arm
from lpjax.run.check_sparse import DENSE
from lpjax.run.job import Job
from lpjax.types import Apply, PyTree, Variables


def layer_flops(job: Job) -> PyTree:
    """Counts what every parameter costs, as a share of the dense network.

    Args:
      job: Its network and the size of its images.

    Returns:
      A tree of shares that add up to 1; `inference_flops` of it and a mask is f_S / f_D.
    """
    shapes = jax.eval_shape(job.initialize, jax.random.key(0))
    flops = network_flops(job.apply, shapes, job.train.images.shape[1:])
    total = sum(jax.tree.leaves(flops))
    return jax.tree.map(lambda layer: layer / total, flops)


def network_flops(apply: Apply, shapes: Variables, image: tuple[int, ...]) -> PyTree:
    """Counts the FLOPs of a network's forward pass, parameter by parameter; nothing is computed.

    Args:
      apply: The network.
      shapes: Its variables, or their shapes.
      image: `(H, W, C)`.

    Returns:
      A tree like the parameters, of FLOPs per image.
    """

    def network(params: PyTree, images: jax.Array, stats: PyTree) -> jax.Array:
        return apply(Variables(params, stats), images)[0]

    images = jax.ShapeDtypeStruct((1, *image), jnp.float32)
    return metrics.layer_flops(network, shapes.params, images, shapes.stats)


def cost(job: Job, arm: Arm, steps: range, old: float, new: float) -> float:
    """Sums what steps cost, each with the mask it was taken with.

    Between several changes, whose masks were not seen, that is the mean of both ends.

    Args:
      job: The method.
      arm: When its masks change.
      steps: Those done, counted from 0.
      old: f_S / f_D of the mask before them.
      new: f_S / f_D of the mask after them.

    Returns:
      The cost, in steps of the dense network.
    """
    if job.config.sparse.method == "snip":
        old = new  # by convention the batch that chooses the mask is free
    changes = [step for step in arm.changes if step - 1 in steps] or [steps.stop]
    first, last = min(changes), max(changes)
    spans = ((first - steps.start, old), (last - first, (old + new) / 2), (steps.stop - last, new))
    return sum(span * _step_cost(job, arm, share, steps.stop) for span, share in spans)


def _step_cost(job: Job, arm: Arm, share: float, step: int) -> float:
    """Tells what a step costs as a share of the dense network's; growth needs a dense gradient now and then."""
    method, explore = job.config.sparse.method, job.config.superpose.explore
    every: float = job.steps(job.config.sparse.every)
    if step > arm.phases.before:
        every = math.inf if explore == "none" else arm.phases.cycle
        method = "rigl" if explore == "gradient" else method
    elif step > arm.until:
        every = math.inf
    return metrics.training_flops(method, share, 1.0, every) / metrics.training_flops(DENSE, 1.0, 1.0)
