"""Training and evaluation of any network given as an `apply` function; independent of model classes and data sets.

Read in this order: `step`, `fit` (the loop), `parallel` and `sharding` (many devices), `evaluate`, `recalibrate`;
`optimizer` and `cyclical` have learning rates, `duration` reads numbers with a unit.
"""

from lpjax.train.cyclical import SHAPES, Phases, collection_step, cyclical, phases  # noqa: F401
from lpjax.train.duration import steps  # noqa: F401
from lpjax.train.evaluate import (
    Evaluate,
    evaluator,
    evaluator_of_batch_statistics,
    predict,
    with_sequential_vmap,
)
from lpjax.train.fit import Feed, TrainEvent, fit, mean_metrics, resident, steps_per_epoch  # noqa: F401
from lpjax.train.optimizer import SCHEDULES, learning_rate, sgd
from lpjax.train.parallel import AXIS, data_parallel, mesh_of, replicate  # noqa: F401
from lpjax.train.recalibrate import Recalibrate, recalibrate, recalibrator
from lpjax.train.sharding import shard_batch, sharded_map  # noqa: F401
from lpjax.train.step import (  # noqa: F401
    Step,
    StepMetrics,
    TrainState,
    cross_entropy,
    identity_batch,
    initial_state,
    take_batch,
    train_step,
)

# What users call; the other names serve the packages above.
__all__ = [
    "SCHEDULES",
    "SHAPES",
    "Evaluate",
    "Feed",
    "Phases",
    "Recalibrate",
    "Step",
    "StepMetrics",
    "TrainEvent",
    "TrainState",
    "cross_entropy",
    "cyclical",
    "data_parallel",
    "evaluator",
    "evaluator_of_batch_statistics",
    "fit",
    "initial_state",
    "learning_rate",
    "mesh_of",
    "phases",
    "predict",
    "recalibrate",
    "recalibrator",
    "replicate",
    "resident",
    "sgd",
    "train_step",
    "with_sequential_vmap",
]
