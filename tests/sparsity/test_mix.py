"""Mixing: interpolation with exact ends, and means."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lpjax.sparsity import lerp, mean

finite = hnp.arrays(np.float32, 6, elements=st.floats(-1e6, 1e6, width=32, allow_subnormal=False))


@given(finite, finite)
@settings(deadline=None, max_examples=50)
def test_coefficients_zero_and_one_reproduce_the_ends_exactly(anchor, newcomer):
    for function in (lerp, jax.jit(lerp)):
        np.testing.assert_array_equal(function({"w": anchor}, {"w": newcomer}, 0.0)["w"], anchor)
        np.testing.assert_array_equal(function({"w": anchor}, {"w": newcomer}, 1.0)["w"], newcomer)


@given(finite, finite, st.floats(0, 1))
@settings(deadline=None, max_examples=50)
def test_a_mix_lies_between_its_ends(anchor, newcomer, coefficient):
    mixed = np.asarray(lerp(anchor, newcomer, coefficient))
    slack = 1e-6 * (np.abs(anchor) + np.abs(newcomer)) + 1e-30
    assert (mixed >= np.minimum(anchor, newcomer) - slack).all()
    assert (mixed <= np.maximum(anchor, newcomer) + slack).all()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("coefficient", [0.5, jnp.float32(0.5)])
def test_leaves_keep_their_dtype(dtype, coefficient):
    mixed = lerp({"w": jnp.ones(3, dtype)}, {"w": jnp.full(3, 3, dtype)}, coefficient)
    assert mixed["w"].dtype == dtype
    assert mixed["w"].tolist() == [2.0, 2.0, 2.0]
    assert mean([mixed, mixed])["w"].dtype == dtype


def test_the_coefficient_weighs_the_newcomer():
    assert lerp(jnp.array(0.0), jnp.array(8.0), 0.25).item() == 2.0


def test_vmap_over_the_coefficient_lays_out_the_line():
    line = jax.vmap(lerp, (None, None, 0))(
        {"w": jnp.array([0.0, 4.0])}, {"w": jnp.array([4.0, 0.0])}, jnp.arange(5) / 4
    )
    np.testing.assert_array_equal(line["w"], [[0, 4], [1, 3], [2, 2], [3, 1], [4, 0]])


def test_the_mean_weighs_all_trees_equally():
    trees = [{"w": jnp.array([n, 2.0 * n])} for n in (1.0, 2.0, 6.0)]
    assert mean(trees)["w"].tolist() == [3.0, 6.0]
    assert mean(trees[:1])["w"].tolist() == [1.0, 2.0]


def test_the_mean_of_nothing_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r"^got no tree to average; give one or more$"):
        mean([])
