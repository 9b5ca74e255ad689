"""The two phases of a run, and learning rates that come back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpjax.train import SHAPES, collection_step, cyclical, phases


@pytest.mark.parametrize(
    ("total", "share", "cycle", "divided"),
    [
        (250, 0.1, 8, (226, 8, 3)),
        (250, 0.1, 2, (226, 2, 12)),
        (250, 0.1, 4, (226, 4, 6)),
        (250, 0.1, 12, (226, 12, 2)),
        (100, 0.08, 2, (92, 2, 4)),
        (160, 0.1, 8, (144, 8, 2)),
        (60, 0.1, 8, (60, 8, 0)),
        (200, 0.1, 8, (184, 8, 2)),
    ],
)
def test_training_is_divided_as_in_the_papers_settings(total, share, cycle, divided):
    assert phases(total, share, cycle) == divided
    assert phases(total * 391, share, cycle * 391) == (divided[0] * 391, cycle * 391, divided[2])


@given(st.integers(1, 10**6), st.floats(0, 0.99), st.integers(1, 10**4))
def test_phases_add_up_and_cycles_stay_within_their_share(total, share, cycle):
    before, _, cycles = phases(total, share, cycle)
    assert before + cycle * cycles == total
    assert before > 0
    assert cycle * cycles <= share * total + 1e-3 < cycle * (cycles + 1) + 2e-3


@given(st.integers(1, 100), st.integers(1, 12))
def test_a_share_that_is_a_whole_number_of_cycles_is_used_up(cycle, cycles):
    assert phases(10 * cycle * cycles, 0.1, cycle).cycles == cycles  # 0.1 * 30 is 3.0000000000000004, others are less


PAPER = (0.002, 0.003, 0.004, 0.005, 0.004, 0.003, 0.002, 0.001, 0.002)
CODE = (0.001, 0.002, 0.003, 0.004, 0.005, 0.004, 0.003, 0.002, 0.001)
HALF_EPOCHS = (0.0015, 0.0025, 0.0035, 0.0045, 0.0045, 0.0035, 0.0025, 0.0015)
FGE = (0.004, 0.003, 0.002, 0.001, 0.002, 0.003, 0.004, 0.005, 0.004)
FGE_CODE = (0.005, 0.004, 0.003, 0.002, 0.001, 0.002, 0.003, 0.004, 0.005)
SWA = (0.0045, 0.004, 0.0035, 0.003, 0.0025, 0.002, 0.0015, 0.001)


@pytest.mark.parametrize(
    ("shape", "steps", "rates"),
    [
        ("triangle", range(9), PAPER),
        ("triangle", range(-1, 8), CODE),  # the authors' code lags one iteration behind
        ("fge", range(9), FGE),
        ("fge", range(-1, 8), FGE_CODE),
        ("swa", range(8), SWA),
    ],
)
def test_eight_iterations_have_the_rates_worked_out_by_hand(shape, steps, rates):
    rate = cyclical(0.001, 0.005, 8, shape)
    np.testing.assert_allclose([rate(step) for step in steps], rates, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(jax.vmap(rate))(jnp.asarray(steps, jnp.int32)), rates, rtol=1e-6)


def test_on_cifar_a_cycle_of_eight_epochs_ends_exactly_low():
    cycle = 8 * 391
    rate = cyclical(0.001, 0.005, cycle)
    np.testing.assert_allclose(rate(0), 0.0010025575, rtol=1e-6)
    assert float(rate(cycle - 1)) == float(rate(2 * cycle - 1)) == np.float32(0.001)
    np.testing.assert_allclose(rate(cycle - 2), 0.0010025575, rtol=1e-6)  # where the authors' code ends
    rates = jax.vmap(rate)(jnp.arange(cycle))
    np.testing.assert_allclose(jnp.mean(rates), 0.003, rtol=1e-6)
    np.testing.assert_allclose(rates[cycle // 16 - 1 :: cycle // 8][:8], HALF_EPOCHS, rtol=3e-3)


def test_on_imagenet_the_rate_turns_after_every_epoch():
    rate = cyclical(1e-4, 5e-4, 8)  # two epochs in quarters
    np.testing.assert_allclose([rate(s) for s in range(-1, 7)], np.array([1, 2, 3, 4, 5, 4, 3, 2]) * 1e-4, rtol=1e-6)


@given(st.sampled_from(SHAPES), st.integers(1, 500), st.integers(0, 10**6))
def test_a_rate_comes_back_stays_in_range_and_is_lowest_where_tickets_are_collected(shape, cycle, step):
    rate = cyclical(0.1, 0.7, cycle, shape)
    assert float(rate(step)) == float(rate(step + cycle))
    assert 0.1 - 1e-6 <= float(rate(step)) <= 0.7 + 1e-6
    assert float(rate(collection_step(shape, cycle) - 1)) <= float(rate(step)) + 1e-6


@pytest.mark.parametrize("shape", SHAPES)
def test_a_rate_is_a_float32_scalar(shape):
    rate = jax.jit(cyclical(0.001, 0.005, 8, shape))(jnp.int32(3))
    assert rate.dtype == jnp.float32
    assert rate.shape == ()


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda: cyclical(0.1, 0.2, 8, "triangel"), "shape .*'triangel'"),
        (lambda: cyclical(0.2, 0.1, 8), "low, high"),
        (lambda: cyclical(0.1, 0.2, 0), "cycle: got 0"),
        (lambda: phases(100, 1.0, 8), r"share: got 1\.0"),
        (lambda: phases(100, 0.1, 0), "cycle: got 0"),
        (lambda: collection_step("fgee", 8), "shape .*'fgee'"),
    ],
)
def test_a_bad_argument_is_refused_by_name(call, field):
    with pytest.raises(ValueError, match=field):
        call()
