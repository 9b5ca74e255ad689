"""Measures of a classifier, from logits and labels alone, and of two on the same images."""

from lpjax.metrics.classification import (
    accuracy,
    calibration_error,
    expected_calibration_error,
    negative_log_likelihood,
)
from lpjax.metrics.paired import Interval, mcnemar, paired_bootstrap

__all__ = [
    "Interval",
    "accuracy",
    "calibration_error",
    "expected_calibration_error",
    "mcnemar",
    "negative_log_likelihood",
    "paired_bootstrap",
]
