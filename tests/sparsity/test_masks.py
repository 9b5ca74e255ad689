"""Masks: trees of bools that mirror the parameters, whose counts are exact integers."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from lpjax.sparsity import (
    all_leaves,
    apply_mask,
    assert_on_mask,
    density,
    density_per_leaf,
    ensure_fits,
    expand_mask,
    full_mask,
    kept,
    kept_per_leaf,
    total,
    warn_empty_leaves,
)

NESTED = {
    "conv": {"kernel": jnp.ones((3, 3, 1, 4)), "bias": jnp.ones(4)},
    "head": {"kernel": jnp.ones((4, 2)), "bias": jnp.ones(2)},
    "temperature": jnp.ones(()),
}
STACK = {"stack": jnp.array([[[1, 0], [0, 0]], [[1, 1], [1, 1]], [[0, 0], [0, 0]]], bool), "head": jnp.eye(2) > 0}


def first_axis(path, leaf):
    return path == "stack"


def test_a_full_mask_mirrors_the_parameters_in_structure_and_shape():
    mask = full_mask(NESTED)
    assert jax.tree.structure(mask) == jax.tree.structure(NESTED)
    assert jax.tree.map(jnp.shape, mask) == jax.tree.map(jnp.shape, NESTED)
    assert all(m.dtype == bool for m in jax.tree.leaves(mask))
    assert all(bool(m.all()) for m in jax.tree.leaves(mask))


def test_a_mask_can_be_built_from_shapes_alone():
    shapes = jax.eval_shape(lambda: NESTED)
    assert jax.tree.map(jnp.shape, full_mask(shapes)) == jax.tree.map(jnp.shape, full_mask(NESTED))


def test_a_mask_multiplies_parameters_without_a_special_case():
    mask = jax.tree.map(jnp.logical_not, full_mask(NESTED))
    with jax.numpy_dtype_promotion("standard"):
        product = jax.tree.map(jnp.multiply, NESTED, mask)
    assert not any(leaf.any() for leaf in jax.tree.leaves(product))


def test_a_mask_is_sharded_as_its_parameters_are():
    mesh = jax.make_mesh((2,), ("model",), axis_types=(jax.sharding.AxisType.Auto,), devices=jax.devices()[:2])
    sharding = NamedSharding(mesh, PartitionSpec("model"))
    params = {"kernel": jax.device_put(jnp.ones((4, 2)), sharding)}
    for mask in (full_mask(params), expand_mask({"kernel": np.True_}, params), expand_mask(full_mask(params), params)):
        assert mask["kernel"].sharding.is_equivalent_to(sharding, 2)


def test_counts_are_exact_and_density_is_derived():
    mask = {
        "w": jnp.array([[True, False], [False, False]]),
        "v": jnp.array([[True]]),
        "bias": jnp.array([True, False]),
        "scalar": jnp.array(True),
    }
    assert (int(kept(mask)), total(mask), density(mask)) == (2, 5, 0.4)
    assert kept(mask).dtype == jnp.int32
    assert type(total(mask)) is int
    assert type(density(mask)) is float


@pytest.mark.parametrize(
    ("prunable", "counts"),
    [
        (all_leaves, (3, 7)),
        (lambda path, leaf: path == "w", (1, 4)),
        ({"w": False, "v": True, "bias": True, "scalar": False}, (2, 3)),
    ],
)
def test_what_counts_is_said_by_a_predicate_or_a_tree_of_bools(prunable, counts):
    mask = {
        "w": jnp.array([[True, False], [False, False]]),
        "v": jnp.array([[True]]),
        "bias": jnp.array([True, False]),
        "scalar": jnp.array(True),
    }
    assert (int(kept(mask, prunable)), total(mask, prunable)) == counts
    assert density(mask, prunable) == counts[0] / counts[1]


def test_a_tree_of_bools_of_another_structure_is_refused():
    with pytest.raises(ValueError, match=r"^prunable: "):
        kept({"v": jnp.ones((2, 2), bool), "w": jnp.ones((2, 2), bool)}, {"v": True})


def test_kept_counts_beyond_what_a_float_resolves():
    mask = {"w": jnp.ones((1, 2**24 + 1), bool)}
    assert int(jax.jit(kept)(mask)) == 2**24 + 1


def test_what_int32_cannot_count_is_refused_and_total_counts_it():
    mask = {name: jax.ShapeDtypeStruct((2**15, 2**15), bool) for name in ("u", "v")}
    assert total(mask) == 2**31
    with pytest.raises(ValueError, match=r"2\*\*31"):
        jax.eval_shape(kept, mask)


def test_counts_of_host_arrays_are_the_same():
    mask = {"w": np.array([[True, False]]), "bias": np.array(True)}
    assert (int(kept(mask)), total(mask), density(mask)) == (1, 2, 0.5)


def test_densities_per_leaf_are_listed_by_path():
    mask = {"l1": {"kernel": jnp.array([[1, 0], [0, 0]], bool), "bias": jnp.ones(2, bool)}, "w": jnp.ones((1, 3), bool)}
    assert density_per_leaf(mask) == {"l1/kernel": 0.25, "w": 1.0}
    assert density_per_leaf(mask, all_leaves) == {"l1/bias": 1.0, "l1/kernel": 0.25, "w": 1.0}


def test_stacked_layers_are_counted_one_by_one():
    counts = kept_per_leaf(STACK, stacked=first_axis)
    assert jax.tree.map(lambda n: n.tolist(), counts) == {"stack": [1, 4, 0], "head": 2}
    assert all(n.dtype == jnp.int32 for n in jax.tree.leaves(counts))
    assert jax.tree.map(int, kept_per_leaf(STACK)) == {"stack": 5, "head": 2}
    assert int(kept(STACK)) == 7


@pytest.mark.parametrize("count", [kept, density, density_per_leaf, kept_per_leaf])
def test_what_is_no_mask_is_refused_by_a_leafs_name(count):
    params = {"layer": {"kernel": jnp.ones((2, 2))}}
    with pytest.raises(TypeError, match="layer/kernel"):
        count(params)
    with pytest.raises(TypeError, match="mask: leaf "):
        count(optax.adam(0.1).init(params))


@pytest.mark.parametrize("count", [kept, density, density_per_leaf, kept_per_leaf, total])
def test_a_tree_of_which_nothing_is_prunable_has_no_density(count):
    with pytest.raises(ValueError, match=r"prunable: .*head/bias"):
        count({"head": {"bias": jnp.ones(3, bool)}})


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


def test_an_expanded_mask_has_every_leaf_in_the_parameters_shape_and_in_a_buffer_of_its_own():
    params = {"w": jnp.ones((2, 3)), "bias": jnp.ones(3)}
    given = {"w": jnp.ones((2, 3), bool), "bias": np.True_}
    own = expand_mask(given, params)
    assert jax.tree.map(jnp.shape, own) == {"w": (2, 3), "bias": (3,)}
    assert own["bias"].all()
    jax.tree.map(lambda leaf: leaf.delete(), own)
    assert given["w"].all()


PARAMS = {"layer": {"kernel": jnp.ones((2, 3)), "bias": jnp.ones(3)}}
FITTING = {"layer": {"kernel": jnp.ones((2, 3), bool), "bias": jnp.array(True)}}


@pytest.mark.parametrize("function", [ensure_fits, expand_mask, lambda mask, params: apply_mask(params, mask)])
@pytest.mark.parametrize(
    ("changed", "error", "name"),
    [
        ({"kernel": jnp.ones((1, 3), bool)}, ValueError, "layer/kernel"),
        ({"kernel": jnp.ones((3, 2), bool)}, ValueError, "layer/kernel"),
        ({"bias": jnp.ones(1, bool)}, ValueError, "layer/bias"),
        ({"kernel": None}, ValueError, "layer/kernel"),
        ({"scale": jnp.ones(3, bool)}, ValueError, "layer/scale"),
        ({"kernel": jnp.ones((2, 3))}, TypeError, "layer/kernel"),
        ({"bias": jnp.ones((), jnp.int32)}, TypeError, "layer/bias"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused_by_the_leafs_name_and_never_broadcast(function, changed, error, name):
    function(FITTING, PARAMS)
    with pytest.raises(error, match=rf"mask: .*'{name}'"):
        function({"layer": {**FITTING["layer"], **changed}}, PARAMS)


def test_weights_off_the_mask_are_named_and_counted():
    params = {"layer": {"kernel": jnp.array([[1.0, 0.0], [2.0, 3.0]]), "bias": jnp.ones(2)}, "w": jnp.ones((1, 2))}
    mask = {
        "layer": {"kernel": jnp.array([[1, 0], [0, 0]], bool), "bias": jnp.array(True)},
        "w": jnp.array([[True, False]]),
    }
    with pytest.raises(ValueError, match=r"^params: 3 .*layer/kernel: 2.*w: 1"):
        assert_on_mask(params, mask)
    assert_on_mask(apply_mask(params, mask), mask)


def test_what_moves_weights_after_a_sparse_transform_is_found():
    from lpjax.transforms import fixed_mask, get_mask

    mask = {"w": jnp.array([[True, False]])}
    params = {"w": jnp.array([[1.0, 0.0]])}
    tx = optax.chain(fixed_mask(optax.sgd(0.1), mask), optax.add_decayed_weights(0.1), optax.scale(1.0))
    updates, state = tx.update({"w": jnp.ones((1, 2))}, tx.init(params), params)
    assert_on_mask(optax.apply_updates(params, updates), get_mask(state))
    with pytest.raises(ValueError, match=r"params: 1 .*w: 1"):
        assert_on_mask({"w": jnp.array([[1.0, 1e-30]])}, get_mask(state))


def test_leaves_without_a_weight_are_warned_of_once_with_all_their_names():
    mask = {
        "first": {"kernel": jnp.zeros((2, 2), bool)},
        "second": {"kernel": jnp.eye(2) > 0},
        "third": {"kernel": jnp.zeros((2, 2), bool), "bias": jnp.zeros(2, bool)},
    }
    with pytest.warns(UserWarning, match="first/kernel, third/kernel") as caught:
        warn_empty_leaves(mask)
    assert len(caught) == 1


def test_an_empty_layer_of_a_stack_is_warned_of_only_if_layers_are_counted():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_empty_leaves(STACK)
        warn_empty_leaves({"bias": jnp.zeros(2, bool), "w": jnp.ones((1, 1), bool)})
    with pytest.warns(UserWarning, match="stack"):
        warn_empty_leaves(STACK, stacked=first_axis)


def test_under_jit_nothing_is_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        jax.eval_shape(warn_empty_leaves, {"w": jnp.zeros((2, 2), bool)})
