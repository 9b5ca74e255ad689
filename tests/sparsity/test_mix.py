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
def test_coefficients_zero_and_one_reproduce_the_ends_exactly(anchor, candidate):
    for function in (lerp, jax.jit(lerp)):
        np.testing.assert_array_equal(function({"w": anchor}, {"w": candidate}, 0.0)["w"], anchor)
        np.testing.assert_array_equal(function({"w": anchor}, {"w": candidate}, 1.0)["w"], candidate)


@given(finite, finite, st.floats(0, 1))
@settings(deadline=None, max_examples=50)
def test_a_mix_lies_between_its_ends(anchor, candidate, coefficient):
    mixed = np.asarray(lerp(anchor, candidate, coefficient))
    slack = 1e-6 * (np.abs(anchor) + np.abs(candidate)) + 1e-30
    assert (mixed >= np.minimum(anchor, candidate) - slack).all()
    assert (mixed <= np.maximum(anchor, candidate) + slack).all()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("coefficient", [0.5, jnp.float32(0.5)])
def test_leaves_keep_their_dtype(dtype, coefficient):
    mixed = lerp({"w": jnp.ones(3, dtype)}, {"w": jnp.full(3, 3, dtype)}, coefficient)
    assert mixed["w"].dtype == dtype
    assert mixed["w"].tolist() == [2.0, 2.0, 2.0]
    assert mean([mixed, mixed])["w"].dtype == dtype


def test_the_coefficient_weighs_the_candidate():
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


def test_the_mean_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"^trees: "):
        mean([])


def mixed_dtypes(dtype, value):
    return {"w": jnp.full(3, value, dtype), "step": jnp.array(value, jnp.int32)}


@pytest.mark.parametrize(
    ("anchor", "candidate"),
    [(jnp.bfloat16, jnp.float32), (jnp.float32, jnp.bfloat16), (jnp.float16, jnp.bfloat16), (jnp.float16, jnp.float32)],
)
def test_the_dtypes_are_those_of_the_first_tree_whatever_the_others_have(anchor, candidate):
    first, second = mixed_dtypes(anchor, 1), mixed_dtypes(candidate, 3)
    for tree in (lerp(first, second, 0.5), lerp(first, second, jnp.float32(0.5)), mean([first, second])):
        assert tree["w"].dtype == anchor
        assert tree["w"].tolist() == [2.0, 2.0, 2.0]
        assert tree["step"].dtype == jnp.int32


@given(hnp.arrays(np.float32, 6, elements=st.floats(-1e6, 1e6, width=32)), st.integers(1, 7))
@settings(deadline=None, max_examples=30)
def test_equal_trees_average_to_themselves_exactly_in_any_dtype(weights, times):
    for dtype in (jnp.bfloat16, jnp.float16, jnp.float32):
        tree = {"w": jnp.clip(jnp.asarray(weights), -6e4, 6e4).astype(dtype)}
        np.testing.assert_array_equal(mean([tree] * times)["w"], tree["w"])


def test_a_sum_that_overflows_float16_is_accumulated_in_float32():
    trees = [{"w": jnp.full(2, 5e4, jnp.float16)}, {"w": jnp.full(2, -5e4, jnp.float16)}]
    assert mean(trees)["w"].tolist() == [0.0, 0.0]
    assert lerp(*trees, 0.5)["w"].tolist() == [0.0, 0.0]


def test_integers_are_rounded_by_the_mean_and_kept_by_the_mix():
    trees = [{"step": jnp.array([0, 10], jnp.int32)}, {"step": jnp.array([3, 11], jnp.int32)}]
    assert lerp(*trees, 0.9)["step"].tolist() == [0, 10]
    averaged = mean([*trees, trees[1]])["step"]
    assert averaged.dtype == jnp.int32
    assert averaged.tolist() == [2, 11]


def test_integers_that_float32_cannot_hold_average_to_themselves():
    tree = {"step": jnp.array([2**30 + 1, -(2**31) + 1], jnp.int32)}
    np.testing.assert_array_equal(mean([tree, tree, tree])["step"], tree["step"])


@pytest.mark.parametrize("shape", [(1, 8), (8, 1), (1,), (), (8,)])
def test_shapes_that_would_broadcast_are_refused_by_name(shape):
    anchor = {"layer": {"kernel": jnp.zeros((8, 8))}}
    other = {"layer": {"kernel": jnp.zeros(shape)}}
    with pytest.raises(ValueError, match=r"candidate: .*layer/kernel"):
        lerp(anchor, other, 0.5)
    with pytest.raises(ValueError, match=r"trees: .*layer/kernel"):
        mean([anchor, anchor, other])


def test_trees_of_other_leaves_are_refused_by_name():
    with pytest.raises(ValueError, match=r"candidate: .*bias"):
        lerp({"w": jnp.zeros(2), "bias": jnp.zeros(2)}, {"w": jnp.zeros(2)}, 0.5)
    with pytest.raises(ValueError, match=r"candidate: .*bias"):
        lerp({"w": jnp.zeros(2)}, {"w": jnp.zeros(2), "bias": jnp.zeros(2)}, 0.5)
