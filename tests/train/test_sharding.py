"""Batches or candidates sharded over eight devices give the numbers of one device, on every device."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
from jax.tree_util import Partial

from lpjax.train import (
    evaluator,
    mesh_of,
    predict,
    recalibrator,
    replicate,
    shard_batch,
    sharded_map,
    with_sequential_vmap,
)
from lpjax.train.sharding import pad_to_multiple
from lpjax.types import Batch

KEY = jax.random.key(5)


@pytest.fixture(scope="module")
def eight():
    assert len(jax.devices()) == 8, "these tests need XLA_FLAGS=--xla_force_host_platform_device_count=8"
    return mesh_of()


@pytest.fixture(scope="module")
def everywhere(tiny, eight):
    return replicate((tiny.variables, tiny.data), eight)


def assert_close(tree, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), tree, other)


def assert_same_on_every_device(tree):
    for leaf in jax.tree.leaves(tree):
        first, *others = (np.asarray(shard.data) for shard in leaf.addressable_shards)
        assert leaf.is_fully_replicated
        assert len(others) == 7
        for other in others:
            np.testing.assert_array_equal(other, first)


def programs(function, *args):
    return jax.jit(function).lower(*args).as_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("images", "batch_size"),
    [(20, 8), (20, 6), (20, 500), (3, 8), (16, 16), (1, 1)],
)
def test_logits_of_any_number_of_images_are_those_of_one_device(tiny, eight, everywhere, images, batch_size):
    variables, data = everywhere
    parts = (tiny.apply, tiny.preprocess)
    sharded = jax.jit(lambda v, x: predict(*parts, v, x, batch_size, eight))(variables, data.images[:images])
    assert sharded.shape == (images, 3)
    assert_close(sharded, predict(*parts, tiny.variables, tiny.data.images[:images], batch_size))
    assert_same_on_every_device(sharded)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [7, 20])
def test_accuracy_is_that_of_one_device(tiny, eight, everywhere, batch_size):
    variables, data = everywhere
    accuracy = jax.jit(evaluator(tiny.apply, tiny.preprocess, data, batch_size, eight))(variables)
    assert float(accuracy) == float(evaluator(tiny.apply, tiny.preprocess, tiny.data, batch_size)(tiny.variables))
    assert_same_on_every_device(accuracy)


def test_padded_images_do_not_count(tiny, eight, everywhere):
    variables, data = everywhere
    labels = jnp.argmax(predict(tiny.apply, tiny.preprocess, tiny.variables, tiny.data.images), -1).astype(jnp.int32)
    wrong = replicate(labels.at[16].set((labels[16] + 1) % 3), eight)
    for images, right in ((17, 16), (16, 16)):  # seven copies of the one that is classified wrongly are padding
        batch = Batch(data.images[:images], wrong[:images])
        evaluate = jax.jit(evaluator(tiny.apply, tiny.preprocess, batch, 16, eight))
        assert float(evaluate(variables)) == np.float32(right) / np.float32(images)


@pytest.mark.slow
@pytest.mark.parametrize(("images", "batch_size"), [(20, 8), (14, 6), (5, 8)])
def test_recalibrated_statistics_are_those_of_the_whole_batch(tiny, eight, everywhere, images, batch_size):
    variables, data = everywhere
    sizes = {"images": images, "batch_size": batch_size}
    sharded = jax.jit(recalibrator(tiny.apply, tiny.augment, data, **sizes, mesh=eight))(variables, KEY)
    assert_close(sharded, recalibrator(tiny.apply, tiny.augment, tiny.data, **sizes)(tiny.variables, KEY))
    assert_same_on_every_device(sharded.stats)


def test_images_are_drawn_and_augmented_the_same_wherever_they_are_computed(tiny, eight, everywhere):
    """Twenty images once each have the mean of all, whatever their order; a repeated or missing one would show."""
    _, data = everywhere

    def brightness(variables, images, *, train=False, axis_name=None):
        mean = images.mean()
        return images, {"mean": mean if axis_name is None else lax.pmean(mean, axis_name)}

    def plain(keys, images):
        return images.astype(jnp.float32)

    variables = tiny.variables._replace(stats={"mean": jnp.zeros(())})
    measured = recalibrator(brightness, plain, Batch(*(x[:16] for x in data)), images=16, batch_size=8, mesh=eight)
    np.testing.assert_allclose(
        jax.jit(measured)(variables, KEY).stats["mean"], np.asarray(tiny.data.images[:16]).mean(), rtol=1e-6
    )


def stack_of(variables):
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: leaf + jnp.asarray(np.abs(rng.normal(size=(3, *leaf.shape))), leaf.dtype), variables
    )


@pytest.mark.slow
def test_a_sharded_evaluation_may_be_mapped_over_networks(tiny, eight, everywhere):
    variables, data = everywhere
    stack, alone = (stack_of(v) for v in (variables, tiny.variables))
    evaluate = evaluator(tiny.apply, tiny.preprocess, data, 8, eight)
    expected = jax.vmap(with_sequential_vmap(evaluator(tiny.apply, tiny.preprocess, tiny.data, 8)))(alone)
    assert len(set(expected.tolist())) > 1
    for together in (
        jax.vmap(with_sequential_vmap(evaluate)),
        jax.vmap(evaluate),
        lambda stack: lax.map(evaluate, stack),
    ):
        np.testing.assert_array_equal(jax.jit(together)(stack), expected)


@pytest.mark.slow
def test_without_a_mesh_or_on_one_device_the_program_is_the_same(tiny):
    alone = mesh_of(jax.devices()[:1])
    sizes = {"images": 14, "batch_size": 6}
    for mesh in (None, alone):
        evaluate = evaluator(tiny.apply, tiny.preprocess, tiny.data, 6, mesh)
        recalibrate = recalibrator(tiny.apply, tiny.augment, tiny.data, **sizes, mesh=mesh)
        assert "manual" not in programs(evaluate, tiny.variables)
        assert "manual" not in programs(recalibrate, tiny.variables, KEY)
        whole = programs(evaluator(tiny.apply, tiny.preprocess, tiny.data, 6), tiny.variables)
        assert programs(evaluate, tiny.variables) == whole
    assert sharded_map(alone) is lax.map
    sharded = evaluator(tiny.apply, tiny.preprocess, tiny.data, 6, mesh_of())
    assert "manual" in programs(sharded, tiny.variables)


def test_a_batch_is_sharded_where_devices_divide_it(eight):
    def sizes(batch, axis_name):
        return jnp.full((), batch.shape[0]), jnp.full((), axis_name is not None)

    for size, share, sharded in ((16, 2, True), (8, 1, True), (12, 12, False), (3, 3, False)):
        seen, named = jax.jit(shard_batch(sizes, eight))(jnp.zeros(size))
        assert (int(seen), bool(named)) == (share, sharded)


@pytest.mark.slow
@given(st.integers(1, 9), st.integers(1, 9))
@settings(max_examples=10)
def test_padding_repeats_the_last_element_to_the_next_multiple(size, multiple):
    tree = {"a": np.arange(size), "b": np.arange(2.0 * size).reshape(size, 2)}
    padded = pad_to_multiple(tree, multiple)
    length = len(padded["a"])
    assert length % multiple == 0
    assert size <= length < size + multiple
    for name, leaf in tree.items():
        assert padded[name].dtype == jnp.asarray(leaf).dtype
        np.testing.assert_array_equal(padded[name][:size], leaf)
        np.testing.assert_array_equal(padded[name][size:], np.broadcast_to(leaf[-1], (length - size, *leaf.shape[1:])))


@pytest.mark.slow
@given(st.integers(1, 19), st.sampled_from([None, 1, 2, 3]))
@settings(max_examples=5)
def test_a_map_sharded_over_devices_is_the_map(size, batch_size):
    def function(offset, x):
        return {"square": x["n"] * x["n"], "even": x["n"] % 2 == 0, "row": x["m"] + offset[x["n"] % 3]}

    held = Partial(function, replicate(jnp.arange(3.0), mesh_of()))
    xs = {"n": jnp.arange(size), "m": jnp.arange(3.0 * size).reshape(size, 3)}
    mapped = jax.jit(lambda held, xs: sharded_map(mesh_of())(held, xs, batch_size=batch_size))(held, xs)
    jax.tree.map(np.testing.assert_array_equal, mapped, lax.map(Partial(function, jnp.arange(3.0)), xs))
    assert_same_on_every_device(mapped)


def test_every_device_computes_its_own_elements_alone(eight):
    here = jax.jit(lambda xs: sharded_map(eight)(lambda x: lax.axis_index("data"), xs))(jnp.arange(11))
    assert here.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5]


def test_one_mesh_has_one_function_so_that_programs_are_shared(eight):
    assert sharded_map(eight) is sharded_map(mesh_of())
    assert sharded_map(eight) is not sharded_map(mesh_of(jax.devices()[:2]))


@pytest.mark.parametrize(
    ("leaf", "dtype"),
    [
        (np.arange(3, dtype=np.uint8), "uint8"),
        (np.float64(0.5), "float32"),
        (7, "int32"),
        (True, "bool"),
        (jnp.ones(2, jnp.bfloat16), "bfloat16"),
        (np.zeros((0, 3), np.float32), "float32"),
    ],
)
def test_replicating_keeps_values_and_dtypes(eight, leaf, dtype):
    copy = replicate(leaf, eight)
    assert copy.dtype == dtype
    assert copy.sharding == NamedSharding(eight, P())
    np.testing.assert_array_equal(copy, leaf)
    assert replicate(copy, eight) is copy


@pytest.mark.slow
def test_typed_keys_are_replicated_as_keys(eight):
    copy = replicate(KEY, eight)
    assert jnp.issubdtype(copy.dtype, jax.dtypes.prng_key)
    assert copy.sharding.is_fully_replicated
    assert jax.random.uniform(copy) == jax.random.uniform(KEY)
