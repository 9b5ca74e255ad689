"""Training and its measurements, as functions of arrays and an `apply` callable. Knows no model class, no data set."""

from lpjax.train.cyclical import SHAPES, Phases, cyclical, lowest, phases
from lpjax.train.duration import steps
from lpjax.train.evaluate import Evaluate, evaluator, mapped, predict
from lpjax.train.fit import Feed, Moment, fit, mean_metrics, resident, steps_per_epoch
from lpjax.train.optimizer import SCHEDULES, learning_rate, sgd
from lpjax.train.parallel import AXIS, data_parallel, mesh_of, replicate
from lpjax.train.recalibrate import Recalibrate, recalibrate, recalibrator
from lpjax.train.spread import deal, spread
from lpjax.train.step import Step, StepMetrics, TrainState, cross_entropy, gather, initial_state, train_step, whole

__all__ = [
    "AXIS",
    "SCHEDULES",
    "SHAPES",
    "Evaluate",
    "Feed",
    "Moment",
    "Phases",
    "Recalibrate",
    "Step",
    "StepMetrics",
    "TrainState",
    "cross_entropy",
    "cyclical",
    "data_parallel",
    "deal",
    "evaluator",
    "fit",
    "gather",
    "initial_state",
    "learning_rate",
    "lowest",
    "mapped",
    "mean_metrics",
    "mesh_of",
    "phases",
    "predict",
    "recalibrate",
    "recalibrator",
    "replicate",
    "resident",
    "sgd",
    "spread",
    "steps",
    "steps_per_epoch",
    "train_step",
    "whole",
]
