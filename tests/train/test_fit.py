"""Training as a stream of events: orders of images, steps that yield, resumption."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpjax.train import (
    StepMetrics,
    TrainState,
    fit,
    initial_state,
    learning_rate,
    resident,
    sgd,
    steps_per_epoch,
    train_step,
)
from lpjax.train.fit import dispatches
from lpjax.types import Batch, Variables

KEY = jax.random.key(3)
TEN = Batch(np.zeros((10, 1, 1, 1), np.uint8), np.zeros(10, np.int32))


class Recorder:
    """A step that trains nothing and remembers which images it was given."""

    def __init__(self):
        self.rows = []

    def __call__(self, state, data, indices, key):
        self.rows.append(np.asarray(indices))
        loss = jnp.float32(len(self.rows))
        return state._replace(step=state.step + indices.shape[0]), StepMetrics(loss, 2 * loss)


def start(step=0):
    return TrainState(jnp.int32(step), Variables({}, {}), ())


def rows_of(step=0, *, stop, steps_per_dispatch=1, key=KEY, **settings):
    recorder, feed = Recorder(), resident(TEN, 4, steps_per_dispatch)
    events = list(fit(recorder, start(step), feed, key, images=10, batch_size=4, stop=stop, **settings))
    return recorder.rows, events


def test_every_epoch_visits_every_image_once_in_an_order_of_its_own():
    rows, _ = rows_of(stop=6)
    assert [r.shape for r in rows] == [(1, 4), (1, 4), (1, 2)] * 2
    epochs = [np.concatenate([r.ravel() for r in rows[i : i + 3]]) for i in (0, 3)]
    for epoch in epochs:
        assert sorted(epoch.tolist()) == list(range(10))
    assert (epochs[0] != epochs[1]).any()


def test_the_order_follows_the_key_alone():
    (rows, _), (again, _), (other, _) = rows_of(stop=3), rows_of(stop=3), rows_of(stop=3, key=jax.random.key(4))
    np.testing.assert_array_equal(np.concatenate(rows, 1), np.concatenate(again, 1))
    assert (np.concatenate(other, 1) != np.concatenate(rows, 1)).any()


@pytest.mark.parametrize(
    ("first", "stop", "yield_at", "steps"),
    [
        (0, 6, (), [3, 6]),
        (0, 7, (), [3, 6, 7]),
        (0, 6, (2, 3, 4), [2, 3, 4, 6]),
        (2, 7, (1, 2, 5, 99), [3, 5, 6, 7]),
        (3, 6, (), [6]),
        (6, 6, (3,), []),
        (0, 1, (), [1]),
    ],
)
def test_it_yields_after_epochs_at_given_steps_and_at_the_end(first, stop, yield_at, steps):
    _, events = rows_of(first, stop=stop, yield_at=yield_at)
    assert [event.step for event in events] == steps
    assert [int(event.state.step) for event in events] == steps


def test_yielding_on_request_does_not_change_training():
    asked = []
    rows, events = rows_of(stop=6, should_yield=lambda step: asked.append(step) or step in (1, 5))
    assert [event.step for event in events] == [1, 3, 5, 6]
    assert asked == [1, 2, 4, 5]
    whole, plain = rows_of(stop=6)
    for a, b in zip(rows, whole, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(*(np.concatenate([event.metrics for event in found]) for found in (events, plain)))


def test_resumed_anywhere_it_visits_the_same_images():
    whole, _ = rows_of(stop=7)
    for step in range(8):
        rest, _ = rows_of(step, stop=7)
        assert len(rest) == 7 - step
        for a, b in zip(rest, whole[step:], strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("steps", [2, 3, 5])
def test_more_steps_a_dispatch_visit_the_same_images_in_the_same_batches(steps):
    one, _ = rows_of(stop=7)
    more, events = rows_of(stop=7, steps_per_dispatch=steps)
    assert max(len(r) for r in more) == (2 if steps == 2 else 1)  # an epoch has but two full batches
    split = [row for r in more for row in r]
    for a, b in zip(split, (r[0] for r in one), strict=True):
        np.testing.assert_array_equal(a, b)
    assert [event.step for event in events] == [3, 6, 7]


def test_metrics_are_means_since_the_last_event_weighted_by_images():
    _, events = rows_of(stop=6, yield_at=(1,))
    losses = [float(event.mean.loss) for event in events]
    np.testing.assert_allclose(losses, [1, (4 * 2 + 2 * 3) / 6, (4 * 4 + 4 * 5 + 2 * 6) / 10])
    np.testing.assert_allclose([float(event.mean.accuracy) for event in events], np.multiply(losses, 2))


@given(st.integers(0, 60), st.integers(1, 9), st.integers(1, 5))
def test_dispatches_cut_an_order_without_loss(images, batch_size, steps):
    order = np.random.default_rng(images).permutation(images).astype(np.int32)
    cut = list(dispatches(order, batch_size, steps))
    np.testing.assert_array_equal(np.concatenate([c.ravel() for c in cut] or [order]), order)
    assert sum(len(c) for c in cut) == steps_per_epoch(images, batch_size)
    assert all(c.dtype == np.int32 for c in cut)
    assert {len(c) for c in cut} <= {steps, 1}
    assert all(c.shape[1] == batch_size for c in cut[:-1])


def test_an_epochs_smaller_last_batch_counts():
    assert [steps_per_epoch(n, 128) for n in (45_000, 128, 129, 1)] == [352, 1, 2, 1]


@pytest.fixture(scope="module")
def training(tiny):
    optimizer = sgd(learning_rate("cosine", 0.1, 12, warmup=2))
    step = jax.jit(train_step(tiny.apply, optimizer, tiny.augment), donate_argnums=0)

    def train(state=None, stop=8, steps_per_dispatch=1, **settings):
        feed = resident(tiny.data, 6, steps_per_dispatch)
        state = initial_state(tiny.variables, optimizer) if state is None else state
        events = fit(step, state, feed, KEY, images=20, batch_size=6, stop=stop, **settings)
        return [jax.device_get(event) for event in events]

    return train


@pytest.mark.slow
def test_resumed_in_the_middle_of_an_epoch_training_gives_the_same_bits(training):
    whole = training(yield_at=(3,))
    assert [event.step for event in whole] == [3, 4, 8]
    resumed = training(jax.tree.map(jnp.asarray, whole[0].state))
    jax.tree.map(np.testing.assert_array_equal, resumed, whole[1:])
    interrupted = training(stop=3)
    jax.tree.map(np.testing.assert_array_equal, interrupted[-1].state, whole[0].state)


@pytest.mark.slow
def test_more_steps_a_dispatch_give_the_same_numbers(training):
    one, three = training()[-1], training(steps_per_dispatch=3)[-1]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5), one.state.variables, three.state.variables
    )
    np.testing.assert_allclose(one.mean, three.mean, rtol=1e-3)


@pytest.mark.slow
def test_training_learns_to_tell_its_images_apart(tiny):
    optimizer = sgd(learning_rate("constant", 0.3, 100), weight_decay=0.0)
    step = jax.jit(train_step(tiny.apply, optimizer, lambda keys, images: tiny.preprocess(images)))
    state, feed = initial_state(tiny.variables, optimizer), resident(tiny.data, 20)
    events = list(fit(step, state, feed, KEY, images=20, batch_size=20, stop=40))
    assert events[-1].mean.loss < 0.8 * events[0].mean.loss
