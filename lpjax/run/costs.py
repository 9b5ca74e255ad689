"""What a job's networks cost: FLOPs as shares of the dense network's."""

import jax
import jax.numpy as jnp

from lpjax import metrics
from lpjax.run.job import Job
from lpjax.types import PyTree, Variables


def layer_flops(job: Job) -> PyTree:
    """Counts what every parameter costs, as a share of the dense network.

    Args:
      job: Its network and the size of its images.

    Returns:
      A tree of shares that add up to 1; `inference_flops` of it and a mask is f_S / f_D.
    """
    shapes = jax.eval_shape(job.initialise, jax.random.key(0))
    images = jax.ShapeDtypeStruct((1, *job.train.images.shape[1:]), jnp.float32)

    def network(params: PyTree, images: jax.Array, stats: PyTree) -> jax.Array:
        return job.apply(Variables(params, stats), images)[0]

    flops = metrics.layer_flops(network, shapes.params, images, shapes.stats)
    total = sum(jax.tree.leaves(flops))
    return jax.tree.map(lambda layer: layer / total, flops)
