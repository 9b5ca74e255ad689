"""Measures of a classifier, from logits and labels alone."""

from lpjax.metrics.classification import (
    accuracy,
    calibration_error,
    expected_calibration_error,
    negative_log_likelihood,
)

__all__ = ["accuracy", "calibration_error", "expected_calibration_error", "negative_log_likelihood"]
