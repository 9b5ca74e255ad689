"""What networks cost: FLOPs, of one and as shares of the dense one's."""

import jax
import jax.numpy as jnp

from lpjax import metrics
from lpjax.run.job import Job
from lpjax.types import Apply, PyTree, Variables


def layer_flops(job: Job) -> PyTree:
    """Counts what every parameter costs, as a share of the dense network.

    Args:
      job: Its network and the size of its images.

    Returns:
      A tree of shares that add up to 1; `inference_flops` of it and a mask is f_S / f_D.
    """
    shapes = jax.eval_shape(job.initialise, jax.random.key(0))
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
