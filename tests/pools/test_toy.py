"""A search small enough to be computed by hand: ten weights, five tickets, double precision.

The expected numbers come from an independent computation of the released algorithm and of the paper's.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lpjax.pools import METHODS, neighbors, pool
from lpjax.sparsity import kept
from lpjax.types import Ticket

TICKETS = (
    (1.101, -0.8908, 0.6788, -0.5653, 0.5004, 0.3655, -0.282, 0.1989, -0.1659, 0.1325),
    (1.0169, -0.8335, 0.6495, -0.5644, 0.528, 0.3099, -0.1996, 0.0913, 0, 0),
    (0.8849, -0.6813, 0.48, -0.3811, 0.3346, 0.5096, 0, 0, 0, 0),
    (1.0788, -0.8653, 0.6504, -0.5345, 0.468, 0, 0, 0, 0, 0),
    (1.0495, -0.8644, 0.678, -0.5901, 0, 0, 0, 0, 0, 0),
)
COUNTS = (10, 8, 6, 5, 4)
GOAL = np.array([1.05, -0.75, 0.55, -0.52, 0.4, 0.42, -0.28, 0.18, -0.12, 0.08])


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def validation(params):
    return jnp.round(100 - 100 * jnp.sum((params["w"][0] - GOAL) ** 2), 4)


def accuracy_on_test(params):
    return round(float(100 - 100 * jnp.sum((params["w"][0] - 0.97 * GOAL) ** 2)), 4)


def ticket(level):
    weights = jnp.asarray([TICKETS[level]], jnp.float64)
    return Ticket({"w": weights}, {"w": weights != 0})


def search(method, anchor, *, value=None, candidates=0):
    """Runs a pool and returns its accepted candidates, its value and its ticket."""
    state = method.init(ticket(anchor), value=value)
    accepted = []
    for level in neighbors(anchor, range(5), candidates):
        state, trial = method.step(state, ticket(level).params)
        if trial.accepted:
            accepted.append((level, round(float(trial.coefficient), 2), round(float(trial.value), 4)))
    assert int(state.accepted) == len(accepted)
    return accepted, round(float(state.value), 4), method.ticket(state)


def search_as_the_code(anchor, **settings):
    start = accuracy_on_test(ticket(anchor).params)
    return search(pool(validation, accept=">", **settings), anchor, value=start)


def test_the_tickets_have_the_values_they_should():
    values = [round(float(validation(ticket(level).params)), 4) for level in range(5)]
    assert values == [94.0658, 91.6423, 79.9924, 66.2962, 49.7614]
    assert [accuracy_on_test(ticket(level).params) for level in range(5)] == [
        *(92.1154, 91.0906, 82.4833, 66.6606, 51.1731)
    ]
    assert [int(kept(ticket(level).mask)) for level in range(5)] == list(COUNTS)


def test_the_codes_search_around_the_middle_ticket_comes_out():
    accepted, value, outcome = search_as_the_code(2)
    assert accepted == [(1, 0.6, 85.5191), (0, 0.1, 85.5664), (4, 0.05, 85.6051)]
    assert value == 85.6051
    assert accuracy_on_test(outcome.params) == 86.3647
    expected = [0.981376, -0.788436, 0.59574, -0.503082, 0.432835, 0.367984, 0, 0, 0, 0]
    np.testing.assert_allclose(outcome.params["w"][0], expected, atol=5e-7)


def test_the_codes_search_rejects_what_falls_below_its_value_on_test():
    accepted, _, outcome = search_as_the_code(4)
    assert accepted == [(2, 0.4, 52.3341)]
    assert accuracy_on_test(outcome.params) == 55.0124


def test_the_papers_search_starts_from_validation_and_accepts_it():
    accepted, _, outcome = search(pool(validation), 4)
    assert accepted == [(3, 0.95, 50.7311), (2, 0.4, 52.4664), (1, 0.05, 52.472)]
    assert accuracy_on_test(outcome.params) == 55.154


@pytest.mark.parametrize("anchor", range(4))
def test_the_codes_and_the_papers_searches_agree_elsewhere(anchor):
    accepted, value, outcome = search(pool(validation), anchor)
    assert (accepted, value) == search_as_the_code(anchor)[:2]
    assert int(kept(outcome.mask)) == COUNTS[anchor]


def test_averaging_accepts_the_denser_neighbor_alone():
    accepted, _, outcome = search(METHODS["average"].build(validation), 2)
    assert accepted == [(1, 0.5, 85.499)]
    assert accuracy_on_test(outcome.params) == 86.6855


def test_two_candidates_make_a_smaller_pool():
    accepted, _, outcome = search(pool(validation), 2, candidates=2)
    assert accepted == [(1, 0.6, 85.5191)]
    assert accuracy_on_test(outcome.params) == 86.4447


def test_pruning_after_the_search_gains_less():
    accepted, value, outcome = search_as_the_code(2, prune="after")
    assert accepted == [(1, 0.8, 92.9663), (0, 0.6, 96.0635)]
    assert value == 96.0635
    assert int(kept(outcome.mask)) == 6
    assert round(float(validation(outcome.params)), 4) == 83.2645
    assert accuracy_on_test(outcome.params) == 82.7788


@pytest.mark.parametrize(
    ("method", "anchor", "on_validation", "on_test"),
    [
        ("swa", 0, 89.3821, 89.735),
        ("swa", 2, 82.1233, 82.7374),
        ("ema_newest", 0, 51.7595, 53.1238),
        ("ema_newest", 2, 53.1162, 54.4069),
        ("ema_decay", 0, 95.2885, 93.8765),
        ("ema_decay", 2, 83.3178, 85.3773),
    ],
)
def test_averages_without_selection_come_out(method, anchor, on_validation, on_test):
    accepted, value, outcome = search(METHODS[method].build(validation), anchor)
    assert len(accepted) == 4
    assert value == on_validation
    assert accuracy_on_test(outcome.params) == on_test
    assert int(kept(outcome.mask)) == COUNTS[anchor]


def test_the_first_row_of_the_heat_map_comes_out():
    halfway = METHODS["average"].build(validation, accept="always")
    row = []
    for sparser in range(1, 5):
        state, _ = halfway.step(halfway.init(ticket(sparser)), ticket(0).params)
        row.append(round(float(state.value), 4))
    assert row == [92.8931, 86.0177, 65.2894, 49.5265]
