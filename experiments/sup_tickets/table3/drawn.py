"""The FLOPs that Table 3 gives for ResNet-50 on ImageNet, as far as they follow from masks before training."""

import math

import jax
import pandas as pd

from lpjax import metrics, models, sparsity
from lpjax.run.setup import network_flops

IMAGE, CLASSES = (224, 224, 3), 1000
ALLOCATE = {"ERK": sparsity.erk, "uniform": sparsity.uniform}
TRAINED = {
    "static, SET": ("never", math.inf),
    "RigL, every 100": ("at updates", 100),
    "RigL, every 4,000": ("at updates", 4000),
    "SNFS": ("always", 1),
}


def drawn(densities: tuple[float, ...] = (0.2, 0.1)) -> pd.DataFrame:
    """Count the FLOPs of masks whose layers keep their densities; nothing is trained, no image is needed.

    Returns:
      One row per density and allocation: `inference` and the training by every method of `TRAINED`, shares of the dense
      network's, whose own forward pass is `dense` FLOPs an image.
    """
    module = models.build("suptickets_imagenet_resnet50", classes=CLASSES)
    shapes = jax.eval_shape(lambda key: models.initialize(module, key, IMAGE), jax.random.key(0))
    layers = network_flops(models.bind(module), shapes, IMAGE)
    flags = sparsity.prunable_leaves(shapes.params, sparsity.kernels)
    dense = sum(jax.tree.leaves(layers))
    rows = []
    for density in densities:
        for name, allocate in ALLOCATE.items():
            leaves = map(jax.tree.leaves, (layers, allocate(shapes.params, density), shapes.params))
            sparse = 0
            for flops, kept, leaf, prunable in zip(*leaves, flags, strict=True):
                sparse += flops * kept / math.prod(leaf.shape) if prunable else flops
            row = {"sparsity": round(1 - density, 6), "allocation": name, "inference": sparse / dense}
            for title, (dense_gradient, every) in TRAINED.items():
                row[title] = metrics.training_flops(dense_gradient, sparse, dense, every) / (3 * dense)
            rows.append(row | {"dense": dense})
    return pd.DataFrame(rows)
