"""Networks of one's own, linen and NNX, run like those of the table."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from lpjax import models
from lpjax.errors import UserError

IMAGES = np.random.default_rng(0).normal(size=(6, 4, 4, 1)).astype(np.float32)


class Linen(nn.Module):
    classes: int

    @nn.compact
    def __call__(self, images, training):
        hidden = nn.Conv(3, (3, 3))(images)
        hidden = nn.BatchNorm(use_running_average=not training)(hidden)  # its momentum is 0.99
        return nn.Dense(self.classes)(nn.relu(hidden).mean((1, 2)))


class Nnx(nnx.Module):
    def __init__(self, classes, rngs):
        self.layers = nnx.List([nnx.Conv(1, 3, (3, 3), rngs=rngs)])
        self.norm = nnx.BatchNorm(3, rngs=rngs)
        self.head = nnx.Linear(3, classes, rngs=rngs)

    def __call__(self, images):
        return self.head(nnx.relu(self.norm(self.layers[0](images))).mean((1, 2)))


class Drops(nnx.Module):
    def __init__(self, rngs):
        self.dropout = nnx.Dropout(0.5, rngs=rngs)


class LinenDrops(nn.Module):
    classes: int
    rate: float

    @nn.compact
    def __call__(self, images, train):
        hidden = nn.Dropout(self.rate, deterministic=not train)(images.reshape(len(images), -1))
        return nn.Dense(self.classes)(hidden)


@pytest.fixture(params=[Linen, Nnx], ids=["linen", "nnx"])
def model(request):
    return models.build(request.param, classes=5)


@pytest.fixture
def variables(model):
    return models.initialize(model, jax.random.key(0), (4, 4, 1))


def test_it_gives_logits_and_leaves_statistics_alone(model, variables):
    logits, stats = jax.jit(models.bind(model))(variables, IMAGES)
    assert logits.shape == (6, 5)
    jax.tree.map(np.testing.assert_array_equal, stats, variables.stats)


def test_in_training_the_statistics_are_those_of_the_batch(model, variables):
    apply = jax.jit(models.bind(model), static_argnames="train")
    _, once = apply(variables, IMAGES, train=True)
    _, twice = apply(variables._replace(stats=once), IMAGES, train=True)
    assert jax.tree.leaves(once)
    jax.tree.map(np.testing.assert_array_equal, once, twice)
    assert jax.tree.structure(once) == jax.tree.structure(variables.stats)


def test_over_devices_the_statistics_are_those_of_the_whole_batch(model, variables):
    apply = models.bind(model)
    _, whole = jax.jit(lambda: apply(variables, IMAGES, train=True))()
    halves = jax.vmap(lambda part: apply(variables, part, train=True, axis_name="data")[1], axis_name="data")
    spread = jax.jit(halves)(jnp.asarray(IMAGES).reshape(2, 3, 4, 4, 1))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[0], b, rtol=1e-5, atol=1e-6), spread, whole)


def test_variables_are_nested_dicts_of_arrays(variables):
    for path, leaf in jax.tree_util.tree_leaves_with_path((variables.params, variables.stats)):
        assert isinstance(leaf, jax.Array)
        assert all(isinstance(entry.key, str) for entry in path[1:])


def test_gradients_reach_all_parameters(model, variables):
    def loss(params):
        logits, _ = models.bind(model)(variables._replace(params=params), IMAGES, train=True)
        return (logits**2).sum()

    gradients = jax.eval_shape(jax.grad(loss), variables.params)
    assert jax.tree.structure(gradients) == jax.tree.structure(variables.params)


@pytest.mark.slow
def test_an_import_path_names_a_constructor():
    built = models.build("lpjax.models.resnet:ResNet", classes=10, stages=(1, 1, 1), width=4)
    assert models.initialize(built, jax.random.key(0), (8, 8, 3)).params


@pytest.mark.parametrize("model", [Drops, dict, "lpjax.models:Nothing", "no.such:Thing"])
def test_what_cannot_run_is_refused(model):
    with pytest.raises(UserError):
        models.build(model, classes=5)


def test_linen_layers_that_draw_random_numbers_are_refused_when_they_train():
    model = models.build(LinenDrops, classes=5, rate=0.5)
    variables = models.initialize(model, jax.random.key(0), (4, 4, 1))
    model.apply(variables, IMAGES, train=False)
    with pytest.raises(UserError):
        jax.eval_shape(lambda variables: model.apply(variables, IMAGES, train=True), variables)


def test_dropout_at_rate_0_draws_nothing():
    model = models.build(LinenDrops, classes=5, rate=0.0)
    variables = models.initialize(model, jax.random.key(0), (4, 4, 1))
    logits, _ = model.apply(variables, IMAGES, train=True)
    np.testing.assert_array_equal(logits, model.apply(variables, IMAGES, train=False)[0])
