"""Accuracy and FLOPs, of trained networks and of masks before training."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import pandas as pd

from experiments.keeping import write
from experiments.options import Options
from experiments.sup_tickets import pairs, words
from experiments.sup_tickets.paper import IMAGENET, SMALL, methods, panels, sparsities
from experiments.sup_tickets.runs import BASE, CHEAP, SUP, Run, dense, find
from lpjax import metrics, models, sparsity
from lpjax.run.setup import network_flops

PUBLISHED = ("erk", "snip", "set", "dsr", "snfs", "rigl", "granet")
IMAGE, CLASSES = (224, 224, 3), 1000
ALLOCATE = {"ERK": sparsity.erk, "uniform": sparsity.uniform}
TRAINED = {
    "static, SET": ("never", math.inf),
    "RigL, every 100": ("at updates", 100),
    "RigL, every 4,000": ("at updates", 4000),
    "SNFS": ("always", 1),
}


def table3(options: Options) -> None:
    """Table 3: accuracy, and the FLOPs of training and inference, ResNet-50 on ImageNet."""
    shown = panels(options, {**SMALL, "paper": IMAGENET})
    runs = find(options, shown, methods(options, PUBLISHED), sparsities(options, (0.8, 0.9)))
    rows = [_row(run, BASE, "alone") for run in dense(options, shown).values()]
    for run in runs:
        rows.append(_row(run, BASE, "alone"))
        rows.append(_row(run, SUP, "with Sup-tickets"))
    write(options, "table3", {}, {"costs": pd.DataFrame(rows), "drawn": drawn()}, describe)


def describe(tables: Mapping[str, pd.DataFrame], preset: str = "") -> str:
    """Write accuracy and FLOPs of trained networks, and the FLOPs of masks before training."""
    del preset
    columns = words.named((*words.LABELS, "arm")) | {
        "accuracy": words.spread("accuracy"),
        "FLOPs (train)": words.times("training_flops"),
        "FLOPs (test)": words.times("inference_flops"),
        "density": lambda row: f"{row['density']:.4f}",
    }
    return f"{words.table(tables['costs'], columns)}\n\n{_words(tables['drawn'])}"


def _words(masks: pd.DataFrame) -> str:
    """Describe what ResNet-50 on ImageNet costs by the masks alone."""
    costs = {name: words.times(name) for name in ("inference", *TRAINED)}
    table = words.table(masks, words.named(("sparsity", "allocation")) | costs)
    return (
        f"ResNet-50 for ImageNet, {masks['dense'].iloc[0]:.4g} FLOPs an image when dense, by masks whose layers keep "
        f"the densities they are drawn with; nothing is trained for this:\n\n{table}"
    )


def _row(run: Run, made: str, arm: str) -> dict[str, Any]:
    """Return means over seeds; the FLOPs are those of the masks that training had, step by step."""
    accuracy = np.array(list(run.measured(made, "accuracy").values()))
    trained = BASE if made == BASE else CHEAP
    return {
        **run.labels,
        "arm": arm,
        **pairs.mean("accuracy", accuracy),
        "seeds": len(accuracy),
        "training_flops": _mean(run.summary(trained, "training_flops")),
        "inference_flops": _mean(run.summary(made, "inference_flops")),
        "density": _mean(run.summary(made, "density")),
    }


def _mean(values: dict[int, float]) -> float:
    return float(np.mean(list(values.values())))


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
