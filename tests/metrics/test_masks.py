import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lpjax import sparsity
from lpjax.metrics import exploration_rate, mask_overlap


def mask_of(*living, **scalars):
    return {"w": jnp.asarray([living], bool), "scale": jnp.ones(3, bool), **scalars}


BITS = hnp.arrays(bool, 12)


def test_the_overlap_is_the_jaccard_index_over_all_leaves():
    mask = {"a": jnp.array([[True, True, False]]), "c": jnp.array([[True, False]]), "bias": jnp.ones(2, bool)}
    other = {"a": jnp.array([[True, False, True]]), "c": jnp.array([[True, True]]), "bias": jnp.ones(2, bool)}
    assert mask_overlap(mask, other) == 2 / 5


def test_what_is_never_pruned_overlaps_nothing():
    assert mask_overlap(mask_of(1, 0), mask_of(0, 1)) == 0


def test_two_empty_masks_are_alike():
    assert mask_overlap(mask_of(0, 0), mask_of(0, 0)) == 1


@given(BITS, BITS)
def test_overlap_is_symmetric_and_one_for_equals_alone(first, second):
    one, other = mask_of(*first), mask_of(*second)
    assert 0 <= mask_overlap(one, other) == mask_overlap(other, one) <= 1
    assert (mask_overlap(one, other) == 1) == bool(np.all(first == second))


def test_masks_of_other_networks_are_refused():
    for other in (mask_of(1, 1, 1), mask_of(1, 1, bias=jnp.ones((), bool)), {"w": jnp.ones((), bool)}):
        with pytest.raises(ValueError, match="mask, other"):
            mask_overlap(mask_of(1, 1), other)


@given(st.lists(BITS, min_size=1, max_size=5))
def test_exploration_counts_what_has_ever_lived(masks):
    union = np.zeros(12, bool)
    rates = []
    for mask in masks:
        union |= mask
        rates.append(exploration_rate(mask_of(*union)))
    assert rates == sorted(rates)
    assert rates[-1] == len({i for mask in masks for i in np.flatnonzero(mask)}) / 12
    assert rates[0] == sparsity.density(mask_of(*masks[0]))
