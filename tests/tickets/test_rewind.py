"""Rewinding: what goes back in time, weights or the learning rate alone."""

import pytest

from lpjax.tickets import FINAL, rewind_duration, rewinds_weights


@pytest.mark.parametrize("duration", ["0it", "500it", "9ep"])
def test_a_duration_rewinds_weights_to_itself(duration):
    assert rewinds_weights(duration)
    assert rewind_duration(duration) == duration


def test_final_keeps_the_weights_and_starts_the_learning_rate_over():
    assert not rewinds_weights(FINAL)
    assert rewind_duration(FINAL) == "0it"
