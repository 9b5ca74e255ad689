import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lpjax.metrics import crossed_bootstrap, mcnemar, mean_interval, paired_bootstrap


def answers(*discordant, both=0):
    """Two classifiers of which so many images only the first, only the other, and both answer rightly."""
    first, other = discordant
    right = [True] * first + [False] * other + [True] * both
    return np.array(right), np.array([False] * first + [True] * other + [True] * both)


@st.composite
def pairs(draw):
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=9))
    return draw(hnp.arrays(bool, shape)), draw(hnp.arrays(bool, shape))


@pytest.mark.parametrize(
    ("first", "other", "expected"),
    [
        (0, 0, 1),
        (1, 0, 1),  # 2 x 1/2
        (2, 2, 1),
        (4, 0, 2 / 2**4),
        (6, 0, 2 / 2**6),
        (5, 1, 2 * (1 + 6) / 2**6),
        (9, 2, 2 * (1 + 11 + 55) / 2**11),
    ],
)
def test_mcnemar_is_the_two_tails_of_a_fair_coin(first, other, expected):
    for both in (1, 7):
        assert mcnemar(*answers(first, other, both=both)) == pytest.approx(expected)
        assert mcnemar(*reversed(answers(first, other, both=both))) == pytest.approx(expected)


@given(pairs())
def test_mcnemar_is_a_probability_that_knows_no_direction_and_no_axes(pair):
    right, other = pair
    assert 0 < mcnemar(right, other) <= 1
    assert mcnemar(right, other) == pytest.approx(mcnemar(other, right))
    assert mcnemar(right, other) == pytest.approx(mcnemar(right.ravel(), other.ravel()))
    assert mcnemar(right, right) == 1


@given(pairs())
def test_the_interval_contains_the_difference_and_turns_with_it(pair):
    right, other = pair
    difference, low, high = paired_bootstrap(right, other, resamples=200)
    assert difference == pytest.approx(right.mean() - other.mean())
    ends = np.array([-1, low, difference, high, 1])
    assert (np.diff(ends) > -1e-12).all()
    assert paired_bootstrap(other, right, resamples=200) == pytest.approx((-difference, -high, -low))


@given(pairs())
def test_equal_answers_differ_by_nothing_at_all(pair):
    assert paired_bootstrap(pair[0], pair[0]) == (0, 0, 0)


@pytest.mark.parametrize("images", [1, 5])
def test_without_variance_the_interval_is_the_difference(images):
    assert paired_bootstrap([True] * images, [False] * images) == (1, 1, 1)


def test_the_interval_is_that_of_a_binomial_count():
    # A resampled mean of 300 wins in 1,000 images is Binomial(1000, 0.3) / 1000: its quantiles are 272 and 329.
    right = np.arange(1000) < 300
    difference, low, high = paired_bootstrap(right, np.zeros(1000, bool), resamples=20_000)
    assert difference == pytest.approx(0.3)
    assert (low, high) == pytest.approx((0.272, 0.329), abs=0.0015)
    narrow = paired_bootstrap(right, np.zeros(1000, bool), level=0.5)
    assert low < narrow.low < narrow.high < high


def test_seeds_that_answer_alike_do_not_narrow_the_interval_and_opposite_ones_close_it():
    right, other = answers(30, 20, both=50)
    alone = paired_bootstrap(right, other)
    assert paired_bootstrap(np.stack([right] * 4), np.stack([other] * 4)) == pytest.approx(alone)
    assert paired_bootstrap(np.stack([right, other]), np.stack([other, right])) == (0, 0, 0)


def test_the_seed_draws_the_images():
    pair = answers(30, 20, both=50)
    assert paired_bootstrap(*pair, seed=3) == paired_bootstrap(*pair, seed=3)
    assert paired_bootstrap(*pair, seed=3) != paired_bootstrap(*pair, seed=4)


def test_nineteen_levels_and_three_seeds_of_ten_thousand_images_take_no_time():
    right, other = np.random.default_rng(0).random((2, 3, 19, 10_000)) < np.array([0.75, 0.74])[:, None, None, None]
    began = time.process_time()
    difference, low, high = paired_bootstrap(right, other)
    assert time.process_time() - began < 2
    assert low < difference < high


@pytest.mark.parametrize("measure", [mcnemar, paired_bootstrap])
@pytest.mark.parametrize(
    ("right", "other"),
    [
        (np.ones(3, bool), np.ones(4, bool)),
        (np.ones((2, 3), bool), np.ones(3, bool)),
        (np.ones(3), np.ones(3, bool)),
        (np.ones((2, 0), bool), np.ones((2, 0), bool)),
        (np.array(True), np.array(True)),
    ],
    ids=["images", "axes", "numbers", "none", "no axis"],
)
def test_answers_that_cannot_be_paired_are_refused(measure, right, other):
    with pytest.raises(ValueError, match="right, other"):
        measure(right, other)


@pytest.mark.parametrize("wrong", [{"resamples": 0}, {"level": 0}, {"level": 1}, {"level": 95}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}: got"):
        paired_bootstrap([True, False], [False, False], **wrong)


def test_where_seeds_agree_the_crossed_interval_is_that_over_images_and_where_images_agree_that_over_seeds():
    draw = np.random.default_rng(0)
    images = draw.random(400) < 0.3
    nothing = np.zeros((6, 400), bool)
    crossed = crossed_bootstrap(np.broadcast_to(images, (6, 400)), nothing)
    np.testing.assert_allclose(crossed, paired_bootstrap(images, nothing[0]), atol=0.005)
    seeds = np.broadcast_to(np.array([[True], [True], [False], [True], [False], [True]]), (6, 400))
    deviation = np.sqrt(2 / 3 * 1 / 3 / 6)  # of the mean of six draws
    assert crossed_bootstrap(seeds, nothing).high - 2 / 3 == pytest.approx(1.96 * deviation, abs=0.1)


def test_levels_between_are_averaged_and_swapping_the_sides_turns_the_sign():
    draw = np.random.default_rng(1)
    right, other = draw.random((2, 3, 4, 50)) < 0.5
    difference, low, high = crossed_bootstrap(right, other)
    assert difference == pytest.approx(right.mean() - other.mean())
    assert low < difference < high
    assert crossed_bootstrap(other, right) == pytest.approx((-difference, -high, -low))


def test_the_crossed_interval_needs_an_axis_of_seeds():
    with pytest.raises(ValueError, match="axis of seeds"):
        crossed_bootstrap([True, False], [True, True])


def test_the_interval_of_a_mean_is_students():
    mean, low, high = mean_interval([1.0, 2.0, 3.0])
    assert mean == 2
    assert (high - low) / 2 == pytest.approx(4.302653 / 3**0.5, rel=1e-6)  # t of 0.975 with two degrees of freedom
    assert (low + high) / 2 == pytest.approx(2)


def test_one_value_has_no_interval_and_equal_values_have_one_without_width():
    assert np.isnan(mean_interval([1.0])[1:]).all()
    assert mean_interval([0.25, 0.25]) == (0.25, 0.25, 0.25)


@pytest.mark.parametrize(("values", "level"), [([], 0.95), ([[1.0, 2.0]], 0.95), ([1.0, 2.0], 1.0)])
def test_an_interval_needs_a_list_of_values_and_a_level(values, level):
    with pytest.raises(ValueError, match=r"values|level"):
        mean_interval(values, level=level)
