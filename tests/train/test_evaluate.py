"""Evaluation serves any number of images and any stack of networks, with the same bits."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from lpjax.train import (
    evaluator,
    evaluator_of_batch_statistics,
    mesh_of,
    predict,
    replicate,
    with_sequential_vmap,
)
from lpjax.types import Batch, Variables


def direct_logits(tiny):
    return tiny.apply(tiny.variables, tiny.preprocess(tiny.data.images), train=False)[0]


@pytest.mark.parametrize("batch_size", [1, 6, 10, 20, 500])
def test_logits_do_not_depend_on_the_batch_size(tiny, batch_size):
    logits = predict(tiny.apply, tiny.preprocess, tiny.variables, tiny.data.images, batch_size)
    assert logits.shape == (20, 3)
    np.testing.assert_allclose(logits, direct_logits(tiny), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 7, 20, 500])
def test_accuracy_is_the_fraction_of_all_images_the_remainder_included(tiny, batch_size):
    right = np.argmax(direct_logits(tiny), -1) == np.asarray(tiny.data.labels)
    assert 0 < right.sum() < 20
    accuracy = evaluator(tiny.apply, tiny.preprocess, tiny.data, batch_size)(tiny.variables)
    assert accuracy.dtype == jnp.float32
    assert float(accuracy) == np.float32(right.sum()) / np.float32(20)


def test_the_remainder_alone_can_decide(tiny):
    logits = np.asarray(direct_logits(tiny))
    labels = np.argmax(logits, -1).astype(np.int32)
    labels[-1] = (labels[-1] + 1) % 3
    evaluate = evaluator(tiny.apply, tiny.preprocess, Batch(tiny.data.images, jnp.asarray(labels)), 6)
    assert float(evaluate(tiny.variables)) == np.float32(0.95)


def test_an_evaluator_is_a_pytree_of_its_split(tiny):
    evaluate = evaluator(tiny.apply, tiny.preprocess, tiny.data, 6)
    images, labels = jax.tree.leaves(evaluate)
    assert images is tiny.data.images
    assert labels is tiny.data.labels
    program = jax.jit(lambda function, variables: function(variables)).lower(evaluate, tiny.variables).as_text()
    assert "tensor<20x4x4x1xui8>" in re.search(r"@main\((.*)", program).group(1)


@pytest.mark.parametrize(("batch_size", "batches", "size"), [(20, 1, 20), (500, 1, 20), (7, 2, 10), (6, 3, 6)])
def test_with_batch_statistics_every_batch_is_normalized_by_itself(tiny, batch_size, batches, size):
    right = 0
    for number in range(batches):
        rows = slice(number * size, (number + 1) * size)
        logits = tiny.apply(tiny.variables, tiny.preprocess(tiny.data.images[rows]), train=True)[0]
        right += int(np.sum(np.argmax(logits, -1) == tiny.data.labels[rows]))
    ranked = evaluator_of_batch_statistics(tiny.apply, tiny.preprocess, tiny.data, batch_size)
    assert float(ranked(tiny.variables)) == np.float32(right) / np.float32(batches * size)
    forgotten = Variables(tiny.variables.params, jax.tree.map(jnp.zeros_like, tiny.variables.stats))
    assert float(ranked(forgotten)) == float(ranked(tiny.variables))


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [16, 7])
def test_batch_statistics_over_devices_are_those_of_the_whole_batch(tiny, batch_size):
    mesh = mesh_of()
    one = evaluator_of_batch_statistics(tiny.apply, tiny.preprocess, tiny.data, batch_size)
    eight = evaluator_of_batch_statistics(tiny.apply, tiny.preprocess, replicate(tiny.data, mesh), batch_size, mesh)
    assert float(jax.jit(lambda f, v: f(v))(eight, replicate(tiny.variables, mesh))) == float(one(tiny.variables))


def stack_of(variables, members=3):
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: leaf + jnp.asarray(rng.uniform(0, 0.5, (members, *leaf.shape)), leaf.dtype), variables
    )


def member_of(stack, index):
    return jax.tree.map(lambda leaf: leaf[index], stack)


@pytest.mark.parametrize("batch_size", [5, 20])
def test_mapped_over_networks_the_bits_are_those_of_a_loop(tiny, batch_size):
    def logits(variables):
        return predict(tiny.apply, tiny.preprocess, variables, tiny.data.images, batch_size)

    stack, one = stack_of(tiny.variables), jax.jit(logits)
    together = jax.jit(jax.vmap(with_sequential_vmap(logits)))(stack)
    for index in range(3):
        np.testing.assert_array_equal(together[index], one(member_of(stack, index)))


@pytest.mark.parametrize("batch_size", [5, 6])
def test_mapped_over_networks_accuracies_are_those_of_a_loop(tiny, batch_size):
    evaluate = evaluator(tiny.apply, tiny.preprocess, tiny.data, batch_size)
    stack = stack_of(tiny.variables)
    singles = [evaluate(member_of(stack, index)) for index in range(3)]
    np.testing.assert_array_equal(jax.vmap(with_sequential_vmap(evaluate))(stack), singles)


def two_convolutions(variables, images, *, train=False, axis_name=None):
    for kernel in variables.params:
        images = lax.conv_general_dilated(images, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    return images.mean((1, 2)), variables.stats


def group_counts(function, stack):
    program = jax.jit(jax.vmap(function)).lower(stack).as_text()
    counts = re.findall(r"(?:feature|batch)_group_count = (\d+)", program)
    assert counts
    return {int(count) for count in counts}


def test_mapped_over_networks_no_convolution_is_grouped(tiny):
    evaluate = evaluator(two_convolutions, tiny.preprocess, tiny.data, 6)
    stack = stack_of(Variables([jnp.ones((3, 3, 1, 2)), jnp.ones((3, 3, 2, 3))], {}))
    assert group_counts(with_sequential_vmap(evaluate), stack) == {1}
    assert max(group_counts(evaluate, stack)) > 1  # what `with_sequential_vmap` is there to avoid


def test_mapped_changes_nothing_for_one_network(tiny):
    evaluate = evaluator(tiny.apply, tiny.preprocess, tiny.data, 6)
    assert with_sequential_vmap(evaluate)(tiny.variables) == evaluate(tiny.variables)
