"""One training step: its gradient, its statistics, its randomness, its mask."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lpjax.sparsity import apply_mask, full_mask
from lpjax.train import cross_entropy, initial_state, learning_rate, sgd, train_step
from lpjax.transforms import fixed_mask
from lpjax.types import Variables

KEY = jax.random.key(1)
ROWS = np.arange(8, dtype=np.int32)


def assert_close(tree, other, rtol=1e-5, atol=1e-6):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol), tree, other)


def assert_equal(tree, other):
    jax.tree.map(np.testing.assert_array_equal, tree, other)


def optimizer_of(mask=None):
    tx = sgd(learning_rate("step", 0.1, 100, milestones=(2,)))
    return tx if mask is None else fixed_mask(tx, mask)


@pytest.fixture(scope="module")
def stepping(tiny):
    return jax.jit(train_step(tiny.apply, optimizer_of(), tiny.augment))


def test_smoothed_labels_give_the_hand_computed_loss():
    logits, label = jnp.log(jnp.array([[0.7, 0.2, 0.1]])), jnp.array([0])
    np.testing.assert_allclose(cross_entropy(logits, label, 0.1), 0.4632974, rtol=1e-6)
    np.testing.assert_allclose(cross_entropy(logits, label), -np.log(0.7), rtol=1e-6)


def test_the_loss_is_the_mean_over_the_batch():
    logits = jnp.array([[0.0, 0.0], [100.0, 0.0]])
    np.testing.assert_allclose(cross_entropy(logits, jnp.array([1, 1])), (np.log(2) + 100) / 2, rtol=1e-6)


def test_a_step_descends_the_gradient_of_the_mean_smoothed_loss(tiny):
    plain = train_step(tiny.apply, optax.sgd(0.1), lambda keys, images: tiny.preprocess(images), label_smoothing=0.3)
    state = initial_state(tiny.variables, optax.sgd(0.1))
    images, labels = tiny.preprocess(tiny.data.images[ROWS]), tiny.data.labels[ROWS]

    def loss_of(params):
        logits, _ = tiny.apply(Variables(params, {}), images, train=True)
        targets = 0.7 * jax.nn.one_hot(labels, 3) + 0.1
        return -jnp.sum(targets * jax.nn.log_softmax(logits)) / 8

    loss, grads = jax.jit(jax.value_and_grad(loss_of))(tiny.variables.params)
    after, metrics = jax.jit(plain)(state, tiny.data, ROWS, KEY)
    assert_close(after.variables.params, jax.tree.map(lambda p, g: p - 0.1 * g, tiny.variables.params, grads))
    np.testing.assert_allclose(metrics.loss, loss, rtol=1e-6)
    logits, _ = tiny.apply(tiny.variables, images, train=True)
    assert float(metrics.accuracy) == np.mean(np.argmax(logits, -1) == labels)
    assert int(after.step) == 1


def test_running_statistics_keep_nine_tenths_and_take_one_of_the_batch(tiny):
    step = jax.jit(train_step(tiny.apply, optax.sgd(0.0), lambda keys, images: tiny.preprocess(images)))
    stats = {"mean": jnp.arange(4.0), "var": jnp.full(4, 2.0)}
    state = initial_state(tiny.variables._replace(stats=stats), optax.sgd(0.0))
    after, _ = step(state, tiny.data, ROWS, KEY)
    _, batch = tiny.apply(tiny.variables, tiny.preprocess(tiny.data.images[ROWS]), train=True)
    assert_close(after.variables.stats, jax.tree.map(lambda old, new: 0.9 * old + 0.1 * new, stats, batch))


@pytest.mark.slow
def test_an_images_augmentation_depends_on_key_step_and_index_alone(tiny):
    def seen(rows, key=KEY, at=0):
        """The augmented images of a step, caught by a network that returns them as statistics."""
        variables = Variables({"w": jnp.ones(())}, {"images": jnp.zeros((3, 4, 4, 1))})
        state = initial_state(variables, optax.sgd(0.0), at)
        after, _ = step(state, tiny.data, np.array(rows, np.int32), key)
        return np.asarray(after.variables.stats["images"])

    def apply(variables, images, *, train=False, axis_name=None):
        return images.reshape(3, -1)[:, :3] * variables.params["w"], {"images": images}

    step = jax.jit(train_step(apply, optax.sgd(0.0), tiny.augment, stats_momentum=0.0))
    together = seen([3, 5, 7])
    np.testing.assert_array_equal(seen([7, 9, 3])[[2, 0]], together[[0, 2]])
    assert (seen([3, 5, 7], at=1) != together).any()
    assert (seen([3, 5, 7], jax.random.key(2)) != together).any()
    noise = together - np.asarray(tiny.preprocess(tiny.data.images[jnp.array([3, 5, 7])]))
    assert len({n.tobytes() for n in noise}) == 3


@pytest.mark.slow
def test_a_lone_step_with_a_leading_axis_has_the_same_bits_and_no_loop(tiny, stepping):
    state = initial_state(tiny.variables, optimizer_of())
    assert_equal(stepping(state, tiny.data, ROWS[None], KEY), stepping(state, tiny.data, ROWS, KEY))
    one, three = (stepping.lower(state, tiny.data, np.stack([ROWS] * k), KEY).as_text() for k in (1, 3))
    assert "stablehlo.while" not in without_randomness(one)
    assert "stablehlo.while" in without_randomness(three)


def without_randomness(text):
    """Drops the functions that draw random bits, which loop by themselves."""
    return "".join(part for part in re.split(r"(?=func\.func)", text) if "@main" in part.split("(")[0])


def test_several_steps_in_one_call_equal_one_after_another(tiny, stepping):
    rows = np.stack([np.random.default_rng(n).permutation(20)[:8] for n in range(3)]).astype(np.int32)
    state = initial_state(tiny.variables, optimizer_of())
    together, metrics = stepping(state, tiny.data, rows, KEY)
    losses = []
    for row in rows:
        state, one = stepping(state, tiny.data, row, KEY)
        losses.append(one)
    assert int(together.step) == 3
    assert_close(together.variables, state.variables)
    assert_close(metrics, jax.tree.map(lambda *values: np.mean(values), *losses))


@pytest.fixture(scope="module")
def masked(tiny):
    """A mask, its optimizer and its step."""
    mask = full_mask(tiny.variables.params)
    mask["conv"] = jnp.asarray(np.random.default_rng(0).random((3, 3, 1, 4)) < 0.4)
    tx = optimizer_of(mask)
    return mask, tx, jax.jit(train_step(tiny.apply, tx, tiny.augment))


def test_dead_weights_stay_dead_and_the_living_move(tiny, masked):
    mask, tx, step = masked
    start = tiny.variables._replace(params=apply_mask(tiny.variables.params, mask))
    state = initial_state(start, tx)
    for _ in range(3):
        state, _ = step(state, tiny.data, ROWS, KEY)
        np.testing.assert_array_equal(state.variables.params["conv"] != 0, mask["conv"])
    for name, leaf in state.variables.params.items():
        assert (leaf != start.params[name]).any()


def test_a_rewound_start_sets_the_schedules_clock_and_leaves_moments_fresh(tiny, masked):
    _, tx, step = masked
    state, early = initial_state(tiny.variables, tx, step=2), initial_state(tiny.variables, tx)
    assert int(state.step) == 2
    assert int(optax.tree.get(state.opt_state, "count")) == 2
    assert not any(jnp.any(moment) for moment in jax.tree.leaves(optax.tree.get(state.opt_state, "trace")))
    late, _ = step(state, tiny.data, ROWS, KEY)
    fast, _ = step(state._replace(opt_state=early.opt_state), tiny.data, ROWS, KEY)
    moved = [np.asarray(s.variables.params["dense"] - tiny.variables.params["dense"]) for s in (late, fast)]
    np.testing.assert_allclose(moved[0] * 10, moved[1], rtol=1e-2, atol=1e-5)


def test_counters_of_moments_start_at_zero_wherever_the_schedule_starts(tiny):
    with jax.numpy_dtype_promotion("standard"):
        tx = optax.adam(optax.constant_schedule(0.1))
        state = initial_state(tiny.variables, tx, step=5)
    counts = optax.tree.get_all_with_path(state.opt_state, "count")
    assert sorted(int(count) for _, count in counts) == [0, 5]


def test_the_initial_state_has_buffers_of_its_own(tiny):
    mask = full_mask(tiny.variables.params)
    state = initial_state(tiny.variables, optimizer_of(mask))
    jax.tree.map(lambda leaf: leaf.delete(), state)
    assert_equal(tiny.variables, jax.tree.map(jnp.copy, tiny.variables))
    assert bool(mask["conv"].all())
