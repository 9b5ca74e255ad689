"""Training and evaluation of any network given as an `apply` function; independent of model classes and data sets."""

from lpjax.train.cyclical import SHAPES, Phases, collection_step, cyclical, phases
from lpjax.train.duration import steps
from lpjax.train.evaluate import Evaluate, evaluator, predict, with_sequential_vmap
from lpjax.train.fit import Feed, TrainEvent, fit, mean_metrics, resident, steps_per_epoch
from lpjax.train.optimizer import SCHEDULES, learning_rate, sgd
from lpjax.train.parallel import AXIS, data_parallel, mesh_of, replicate
from lpjax.train.recalibrate import Recalibrate, recalibrate, recalibrator
from lpjax.train.sharding import shard_batch, shard_candidates
from lpjax.train.step import (
    Step,
    StepMetrics,
    TrainState,
    cross_entropy,
    identity_batch,
    initial_state,
    take_batch,
    train_step,
)

__all__ = [
    "AXIS",
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
    "collection_step",
    "cross_entropy",
    "cyclical",
    "data_parallel",
    "evaluator",
    "fit",
    "identity_batch",
    "initial_state",
    "learning_rate",
    "mean_metrics",
    "mesh_of",
    "phases",
    "predict",
    "recalibrate",
    "recalibrator",
    "replicate",
    "resident",
    "sgd",
    "shard_batch",
    "shard_candidates",
    "steps",
    "steps_per_epoch",
    "take_batch",
    "train_step",
    "with_sequential_vmap",
]
