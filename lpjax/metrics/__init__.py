"""Metrics of classifiers and masks: accuracy, calibration, diversity, paired statistics, FLOPs and storage.

Every file stands alone, but `flops`, which counts the multiplications of a traced program by `program`.
"""

from lpjax.metrics.classification import (
    accuracy,
    calibration_error,
    expected_calibration_error,
    negative_log_likelihood,
)
from lpjax.metrics.diversity import disagreement, kl_divergence, pairwise
from lpjax.metrics.flops import inference_flops, layer_flops, training_flops
from lpjax.metrics.masks import exploration_rate, mask_overlap
from lpjax.metrics.paired import (
    Interval,
    MeanInterval,
    crossed_bootstrap,
    mcnemar,
    mean_interval,
    paired_bootstrap,
)
from lpjax.metrics.storage import Storage, storage

__all__ = [
    "Interval",
    "MeanInterval",
    "Storage",
    "accuracy",
    "calibration_error",
    "crossed_bootstrap",
    "disagreement",
    "expected_calibration_error",
    "exploration_rate",
    "inference_flops",
    "kl_divergence",
    "layer_flops",
    "mask_overlap",
    "mcnemar",
    "mean_interval",
    "negative_log_likelihood",
    "paired_bootstrap",
    "pairwise",
    "storage",
    "training_flops",
]
