"""Apportioning: a count shared in proportion, within what every leaf can hold."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpjax.sparsity import apportion

LEAVES = st.lists(st.tuples(st.floats(0, 100, width=32), st.integers(0, 1000)), min_size=1, max_size=6)


@pytest.mark.slow
@given(LEAVES, st.floats(0, 1))
def test_everything_is_handed_out_and_no_leaf_overflows(leaves, share):
    weights, room = (np.array(column) for column in zip(*leaves, strict=True))
    count = int(share * room.sum())
    counts = np.asarray(apportion(count, jnp.asarray(weights, jnp.float32), jnp.asarray(room, jnp.int32)))
    assert counts.sum() == count
    assert np.all((counts >= 0) & (counts <= room))


@pytest.mark.slow
@given(st.lists(st.integers(1, 50), min_size=1, max_size=6), st.integers(0, 500))
def test_with_room_enough_every_leaf_is_within_rounding_of_its_share(weights, count):
    weights = np.array(weights)
    counts = np.asarray(apportion(count, jnp.asarray(weights, jnp.float32), jnp.full(len(weights), 1000, jnp.int32)))
    np.testing.assert_allclose(counts, count * weights / weights.sum(), atol=len(weights))


def test_what_a_full_leaf_cannot_hold_goes_to_the_others_in_their_proportion():
    counts = jax.jit(apportion)(40, jnp.array([8.0, 1.0, 3.0]), jnp.array([20, 50, 50]))
    assert counts.tolist() == [20, 5, 15]


@pytest.mark.slow
def test_without_weights_room_decides():
    assert apportion(6, jnp.zeros(2), jnp.array([4, 8])).tolist() == [2, 4]
