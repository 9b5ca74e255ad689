"""The order in which candidates are tried: by distance, the denser first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpjax.pools import neighbors


@pytest.mark.parametrize(
    ("anchor", "order"),
    [(0, [1, 2, 3, 4]), (1, [0, 2, 3, 4]), (2, [1, 3, 0, 4]), (3, [2, 4, 1, 0]), (4, [3, 2, 1, 0])],
)
def test_five_tickets_come_in_the_papers_order(anchor, order):
    assert neighbors(anchor, range(5)) == order


def test_nineteen_tickets_come_in_the_papers_order():
    middle = [8, 10, 7, 11, 6, 12, 5, 13, 4, 14, 3, 15, 2, 16, 1, 17, 0, 18]
    assert neighbors(9, range(19)) == middle
    assert neighbors(0, range(19)) == list(range(1, 19))
    assert neighbors(18, range(19)) == list(range(17, -1, -1))


def test_a_count_limits_the_candidates_and_zero_means_all():
    assert neighbors(2, range(5), 2) == [1, 3]
    assert neighbors(0, range(19), 2) == [1, 2]
    assert neighbors(18, range(19), 2) == [17, 16]
    assert neighbors(2, range(5), 0) == neighbors(2, range(5), 99) == [1, 3, 0, 4]


def test_a_negative_count_is_refused():
    with pytest.raises(ValueError, match="count: got -1"):
        neighbors(2, range(5), -1)


def test_a_lone_ticket_has_no_candidates():
    assert neighbors(0, [0]) == []


@given(st.sets(st.integers(0, 30), min_size=1), st.data())
def test_every_other_level_comes_once_and_never_nearer_than_the_one_before(levels, data):
    anchor = data.draw(st.sampled_from(sorted(levels)))
    order = neighbors(anchor, list(levels))
    assert sorted(order) == sorted(levels - {anchor})
    distances = [abs(level - anchor) for level in order]
    assert distances == sorted(distances)
