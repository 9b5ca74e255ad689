"""Masks: total trees of bools whose counts are exact integers."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lpjax.sparsity import apply_mask, by_path, convolution_kernels, density, full_mask, kept, kernels, leaf_name, total


class Layer(NamedTuple):
    kernel: jax.Array
    bias: jax.Array


NESTED = {
    "conv": {"kernel": jnp.ones((3, 3, 1, 4)), "bias": jnp.ones(4)},
    "head": {"kernel": jnp.ones((4, 2)), "bias": jnp.ones(2)},
    "temperature": jnp.ones(()),
}


def names_of(params):
    return [leaf_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]


def pruned_names(params, prunable):
    mask = full_mask(params, prunable)
    return [name for name, m in zip(names_of(params), jax.tree.leaves(mask), strict=True) if m.ndim]


def test_by_default_convolution_kernels_are_prunable_and_nothing_else():
    mask = full_mask(NESTED)
    assert jax.tree.structure(mask) == jax.tree.structure(NESTED)
    assert mask["conv"]["kernel"].shape == (3, 3, 1, 4)
    assert [m.shape for m in (mask["conv"]["bias"], mask["head"]["kernel"], mask["temperature"])] == [()] * 3
    assert all(m.dtype == bool for m in jax.tree.leaves(mask))
    assert all(bool(m.all()) for m in jax.tree.leaves(mask))


@pytest.mark.parametrize(
    ("prunable", "names"),
    [
        (convolution_kernels, ["conv/kernel"]),
        (kernels, ["conv/kernel", "head/kernel"]),
        (by_path("^head/"), ["head/bias", "head/kernel"]),
        (by_path("kernel$"), ["conv/kernel", "head/kernel"]),
        (by_path(""), ["conv/bias", "conv/kernel", "head/bias", "head/kernel"]),
    ],
)
def test_predicates_see_paths_and_shapes(prunable, names):
    assert pruned_names(NESTED, prunable) == names


def test_lists_named_tuples_and_tuples_have_paths_too():
    params = [Layer(jnp.ones((2, 2)), jnp.ones(2)), (jnp.ones((2, 3)), jnp.ones(3))]
    assert names_of(params) == ["0/kernel", "0/bias", "1/0", "1/1"]
    mask = full_mask(params, kernels)
    assert isinstance(mask[0], Layer)
    assert total(mask) == 10
    assert pruned_names(params, by_path("^1/0$")) == ["1/0"]


def test_a_mask_can_be_built_from_shapes_alone():
    shapes = jax.eval_shape(lambda: NESTED)
    assert jax.tree.map(jnp.shape, full_mask(shapes)) == jax.tree.map(jnp.shape, full_mask(NESTED))


def test_nothing_prunable_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r"^no prunable parameter among 2; choose another `prunable`$"):
        full_mask({"w": jnp.ones((2, 2)), "b": jnp.ones(2)})


def test_counts_are_exact_and_density_is_derived():
    mask = {"w": jnp.array([[True, False], [False, False]]), "v": jnp.array([True]), "b": jnp.array(True)}
    assert (int(kept(mask)), total(mask), density(mask)) == (2, 5, 0.4)
    assert kept(mask).dtype == jnp.int32
    assert type(total(mask)) is int


def test_kept_counts_beyond_what_a_float_resolves():
    mask = {"w": jnp.ones(2**24 + 1, bool)}
    assert int(jax.jit(kept)(mask)) == 2**24 + 1


def test_counts_of_host_arrays_are_the_same():
    mask = {"w": np.array([True, False]), "b": np.array(True)}
    assert (int(kept(mask)), total(mask), density(mask)) == (1, 2, 0.5)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_masked_weights_are_zero_and_the_dtype_stays(dtype):
    params = {"w": jnp.array([1.0, -2.0, jnp.inf, jnp.nan], dtype), "b": jnp.array([3.0], dtype)}
    masked = apply_mask(params, {"w": jnp.array([True, False, False, False]), "b": jnp.array(True)})
    assert masked["w"].dtype == dtype
    assert masked["w"].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert masked["b"].tolist() == [3.0]


def test_masking_twice_changes_nothing_more():
    rng = np.random.default_rng(0)
    params = {"w": jnp.asarray(rng.normal(size=20), jnp.float32)}
    mask = {"w": jnp.asarray(rng.random(20) < 0.5)}
    once = apply_mask(params, mask)
    assert (apply_mask(once, mask)["w"] == once["w"]).all()
