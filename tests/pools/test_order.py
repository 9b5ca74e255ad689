"""The order in which newcomers are tried: by distance, the denser first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpjax.pools import adjacent


@pytest.mark.parametrize(
    ("anchor", "order"),
    [(0, [1, 2, 3, 4]), (1, [0, 2, 3, 4]), (2, [1, 3, 0, 4]), (3, [2, 4, 1, 0]), (4, [3, 2, 1, 0])],
)
def test_five_tickets_come_in_the_papers_order(anchor, order):
    assert adjacent(anchor, range(5)) == order


def test_nineteen_tickets_come_in_the_papers_order():
    middle = [8, 10, 7, 11, 6, 12, 5, 13, 4, 14, 3, 15, 2, 16, 1, 17, 0, 18]
    assert adjacent(9, range(19)) == middle
    assert adjacent(0, range(19)) == list(range(1, 19))
    assert adjacent(18, range(19)) == list(range(17, -1, -1))


def test_newcomers_limits_them_and_zero_means_all():
    assert adjacent(2, range(5), 2) == [1, 3]
    assert adjacent(0, range(19), 2) == [1, 2]
    assert adjacent(18, range(19), 2) == [17, 16]
    assert adjacent(2, range(5), 0) == adjacent(2, range(5), 99) == [1, 3, 0, 4]


def test_a_lone_ticket_has_no_newcomers():
    assert adjacent(0, [0]) == []


@given(st.sets(st.integers(0, 30), min_size=1), st.data())
def test_every_other_level_comes_once_and_never_nearer_than_the_one_before(levels, data):
    anchor = data.draw(st.sampled_from(sorted(levels)))
    order = adjacent(anchor, list(levels))
    assert sorted(order) == sorted(levels - {anchor})
    distances = [abs(level - anchor) for level in order]
    assert distances == sorted(distances)
