"""Recalibration averages the statistics of batches with equal weights, from nothing but the weights and a key."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lpjax.train import recalibrate, recalibrator
from lpjax.types import Variables

KEY = jax.random.key(5)


def statistics(variables, images, *, train=False, axis_name=None):
    """Batch normalization's statistics of the images themselves, with torch's unbiased variance beside the biased."""
    assert train
    count = images.shape[0] * images.shape[1] * images.shape[2]
    var = images.var((0, 1, 2))
    return images, {"mean": images.mean((0, 1, 2)), "var": var, "unbiased": var * count / (count - 1)}


def test_batches_weigh_equally_whatever_their_size_as_in_torch():
    first = np.arange(8, dtype=np.float32).reshape(2, 2, 1, 2)
    second = np.array([-1, 2, 5, 8], np.float32).reshape(1, 2, 1, 2)
    images = jnp.asarray(np.concatenate([first, second]).transpose(0, 2, 3, 1))  # torch puts channels second
    old = dict.fromkeys(("mean", "var", "unbiased"), jnp.full(2, 99.0))
    after = recalibrate(statistics, Variables({}, old), lambda rows: images[rows], jnp.arange(3), batch_size=2)
    np.testing.assert_allclose(after.stats["mean"], [1.5, 5.5])
    np.testing.assert_allclose(after.stats["unbiased"], [5.0833333, 5.0833333], rtol=1e-6)
    np.testing.assert_allclose(after.stats["var"], [3.25, 3.25])  # torch's less n / (n - 1): 4/3 and 2 here


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [1, 3, 6, 100])
def test_the_statistics_are_the_mean_over_batches(batch_size):
    images = jnp.asarray(np.random.default_rng(0).normal(size=(6, 2, 2, 3)), jnp.float32)
    old = dict.fromkeys(("mean", "var", "unbiased"), jnp.zeros(3))
    after = recalibrate(statistics, Variables({}, old), lambda rows: images[rows], jnp.arange(6), batch_size)
    batches = [images[i : i + batch_size] for i in range(0, 6, batch_size)]
    expected = [statistics(None, batch, train=True)[1] for batch in batches]
    for name in old:
        np.testing.assert_allclose(after.stats[name], np.mean([e[name] for e in expected], 0), rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def recalibrating(tiny):
    return jax.jit(recalibrator(tiny.apply, tiny.augment, tiny.data, images=14, batch_size=6))


def assert_equal(tree, other):
    jax.tree.map(np.testing.assert_array_equal, tree, other)


def test_recalibrating_twice_changes_nothing_more(tiny, recalibrating):
    once = recalibrating(tiny.variables, KEY)
    assert (once.stats["mean"] != tiny.variables.stats["mean"]).any()
    assert_equal(recalibrating(once, KEY), once)


@pytest.mark.parametrize("old", [0.0, 1e9, jnp.nan])
def test_old_statistics_do_not_matter(tiny, recalibrating, old):
    spoiled = tiny.variables._replace(stats=jax.tree.map(lambda s: jnp.full_like(s, old), tiny.variables.stats))
    assert_equal(recalibrating(spoiled, KEY), recalibrating(tiny.variables, KEY))


def test_parameters_stay(tiny, recalibrating):
    assert_equal(recalibrating(tiny.variables, KEY).params, tiny.variables.params)


def test_the_key_decides_images_and_augmentation(tiny, recalibrating):
    other = recalibrating(tiny.variables, jax.random.key(6))
    assert (recalibrating(tiny.variables, KEY).stats["mean"] != other.stats["mean"]).any()


def images_used(tiny, budget, key=KEY):
    """The first pixel of every image that recalibration loads, through a network that returns it as a statistic."""

    def apply(variables, images, *, train=False, axis_name=None):
        return images, {"pixel": images[0, 0, 0, :]}

    pixels = []
    plain = recalibrator(apply, lambda keys, images: spy(pixels, images), tiny.data, images=budget, batch_size=1)
    plain(Variables({}, {"pixel": jnp.zeros(1)}), key)
    return np.concatenate(pixels)


def spy(pixels, images):
    jax.debug.callback(lambda x: pixels.append(np.asarray(x).reshape(len(x), -1)), images)
    return images.astype(jnp.float32)


def test_the_budget_is_drawn_without_repetition_and_capped_at_the_split(tiny):
    every = {image.tobytes() for image in np.asarray(tiny.data.images)}
    for budget, expected in ((7, 7), (20, 20), (1000, 20)):
        used = [image.tobytes() for image in images_used(tiny, budget)]
        assert len(used) == len(set(used)) == expected
        assert set(used) <= every


def test_a_network_without_statistics_comes_back_as_it_was():
    variables = Variables({"w": jnp.ones(3)}, {})

    def never(rows):
        raise AssertionError("no image is needed")

    assert recalibrate(statistics, variables, never, jnp.arange(4), 2) is variables


def test_a_recalibrator_is_a_pytree_of_the_training_split(tiny):
    bound = recalibrator(tiny.apply, tiny.augment, tiny.data, images=14, batch_size=6)
    images, labels = jax.tree.leaves(bound)
    assert images is tiny.data.images
    assert labels is tiny.data.labels
