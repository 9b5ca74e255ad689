"""Durations carry their unit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpjax.train import steps


def test_epochs_are_multiplied_and_iterations_are_not():
    assert steps("182ep", 352) == 64_064
    assert steps("500it", 352) == 500
    assert steps("0it", 352) == steps("0ep", 352) == 0


@given(st.integers(0, 10**9), st.integers(1, 10**5))
def test_any_number_is_read_back(number, per_epoch):
    assert steps(f"{number}it", per_epoch) == number
    assert steps(f"{number}ep", per_epoch) == number * per_epoch


@pytest.mark.parametrize("duration", ["", "9", "ep", "9 ep", "9epochs", "-1ep", "1.5ep", "9EP", "9ep\n"])
def test_anything_else_is_refused(duration):
    with pytest.raises(ValueError, match="duration"):
        steps(duration, 352)
