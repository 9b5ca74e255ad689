"""Spread over eight devices, a step gives the numbers of one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from lpjax.sparsity import apply_mask, full_mask
from lpjax.train import (
    AXIS,
    data_parallel,
    fit,
    initial_state,
    learning_rate,
    mesh_of,
    replicate,
    resident,
    sgd,
    train_step,
)
from lpjax.transforms import fixed_mask

KEY = jax.random.key(7)
STEPS = 3


@pytest.fixture(scope="module")
def setting(tiny):
    """A masked network with momentum, weight decay and statistics: all that could be multiplied by the device count."""
    mask = full_mask(tiny.variables.params)
    mask["conv"] = jnp.asarray(np.random.default_rng(0).random((3, 3, 1, 4)) < 0.6)
    optimizer = fixed_mask(sgd(learning_rate("step", 0.1, 100, milestones=(2,)), weight_decay=1e-2), mask)
    start = tiny.variables._replace(params=apply_mask(tiny.variables.params, mask))

    def step_of(axis_name):
        return train_step(tiny.apply, optimizer, tiny.augment, axis_name=axis_name)

    return step_of, lambda: initial_state(start, optimizer)


@pytest.fixture(scope="module")
def eight():
    assert len(jax.devices()) == 8, "these tests need XLA_FLAGS=--xla_force_host_platform_device_count=8"
    return mesh_of()


def batches(size):
    rng = np.random.default_rng(size)
    return [rng.choice(20, size, replace=False).astype(np.int32) for _ in range(STEPS)]


def run(step, state, data, rows):
    states, metrics = [], []
    for row in rows:
        state, seen = step(state, data, row, KEY)
        states.append(jax.device_get(state))
        metrics.append(jax.device_get(seen))
    return states, metrics


@pytest.fixture(scope="module")
def on_eight(setting, tiny, eight):
    """Trains on a mesh of eight; compiled once for all tests."""
    step_of, start = setting
    step, data = data_parallel(step_of(AXIS), eight), replicate(tiny.data, eight)
    return lambda rows: run(step, replicate(start(), eight), data, rows)


@pytest.fixture(scope="module")
def on_one(setting, tiny):
    """Trains without any mesh; compiled once for all tests."""
    step_of, start = setting
    step = jax.jit(step_of(None))
    return lambda rows: run(step, start(), tiny.data, rows)


def assert_close(tree, other):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6), tree, other)


def assert_equal(tree, other):
    jax.tree.map(np.testing.assert_array_equal, tree, other)


def test_eight_devices_give_parameters_moments_statistics_and_metrics_of_one(on_eight, on_one):
    assert_close(on_eight(batches(16)), on_one(batches(16)))


@pytest.mark.slow
def test_a_batch_that_eight_does_not_divide_gives_the_same_numbers(on_eight, on_one):
    assert_close(on_eight(batches(12)), on_one(batches(12)))


@pytest.mark.slow
def test_a_batch_smaller_than_the_mesh_gives_the_same_numbers(on_eight, on_one):
    assert_close(on_eight(batches(3)), on_one(batches(3)))


def test_one_device_in_a_mesh_gives_the_numbers_of_no_mesh(setting, tiny, on_one):
    step_of, start = setting
    alone = mesh_of(jax.devices()[:1])
    state, data = replicate(start(), alone), replicate(tiny.data, alone)
    assert_close(run(data_parallel(step_of(AXIS), alone), state, data, batches(16)), on_one(batches(16)))


def test_several_steps_a_dispatch_are_spread_along_the_batch(on_eight, on_one):
    rows = batches(16)
    states, metrics = on_eight([np.stack(rows)])
    expected, expected_metrics = on_one(rows)
    assert_close(states[-1], expected[-1])
    assert_close(metrics[0], jax.tree.map(lambda *values: np.mean(values), *expected_metrics))


@pytest.mark.slow
def test_pmap_of_the_same_step_has_the_same_bits(setting, tiny, on_eight):
    step_of, start = setting
    rows = batches(16)
    mapped = jax.pmap(step_of(AXIS), axis_name=AXIS, in_axes=(None, None, 0, None), out_axes=None)
    by_pmap = run(mapped, start(), tiny.data, [row.reshape(8, 2) for row in rows])
    assert_equal(by_pmap, on_eight(rows))


def test_the_checking_mode_of_shard_map_does_not_multiply_gradients(setting, tiny, eight, on_one):
    step_of, start = setting
    rows = batches(16)
    checked = jax.jit(
        jax.shard_map(
            step_of(AXIS), mesh=eight, in_specs=(P(), P(), P(AXIS), P()), out_specs=(P(), P()), check_vma=True
        )
    )
    state, data = replicate(start(), eight), replicate(tiny.data, eight)
    assert_close(run(checked, state, data, rows), on_one(rows))


def test_all_devices_hold_the_same_parameters_moments_and_masks(setting, tiny, eight):
    step_of, start = setting
    step = data_parallel(step_of(AXIS), eight)
    first, data = replicate(start(), eight), replicate(tiny.data, eight)
    state, _ = step(first, data, batches(16)[0], KEY)
    assert first.variables.params["conv"].is_deleted()  # donated
    assert not data.images.is_deleted()
    for leaf in jax.tree.leaves(state):
        assert leaf.is_fully_replicated
        copies = [np.asarray(shard.data) for shard in leaf.addressable_shards]
        assert len(copies) == 8
        for copy in copies[1:]:
            np.testing.assert_array_equal(copy, copies[0])


def test_dead_weights_stay_dead_on_all_devices(on_eight):
    states, _ = on_eight(batches(16))
    for state in states:
        np.testing.assert_array_equal(state.variables.params["conv"] != 0, state.opt_state.mask["conv"])


@pytest.mark.slow
def test_a_whole_epoch_with_a_smaller_last_batch_trains_on_eight_devices(setting, tiny, eight):
    step_of, start = setting
    settings = {"images": 20, "batch_size": 8, "stop": 3}  # 8, 8 and 4 images
    mesh_state, mesh_data = replicate(start(), eight), replicate(tiny.data, eight)
    (spread,) = fit(data_parallel(step_of(AXIS), eight), mesh_state, resident(mesh_data, 8), KEY, **settings)
    (alone,) = fit(jax.jit(step_of(None)), start(), resident(tiny.data, 8), KEY, **settings)
    assert_close(jax.device_get(spread), jax.device_get(alone))


def test_a_mesh_has_one_axis_over_all_devices_unless_told(eight):
    assert eight.axis_names == (AXIS,)
    assert eight.size == 8
    assert mesh_of(jax.devices()[:2]).size == 2
