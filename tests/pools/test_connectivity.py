"""Straight lines between networks, and how far they rise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lpjax.pools import TENTHS, barrier, linear_path

KEY = jax.random.key(0)


def at(*weights):
    w = jnp.array([weights], jnp.float32)
    return {"params": {"w": w}, "batch_stats": {"mean": jnp.sum(w)}}


def bowl(network):
    return jnp.sum(network["params"]["w"] ** 2)


def test_a_path_over_a_bowl_is_the_parabola():
    values = linear_path(bowl, at(-1, 0), at(1, 0))
    np.testing.assert_allclose(values, [(2 * c - 1) ** 2 for c in TENTHS], atol=1e-6)
    assert float(barrier(values)) == pytest.approx(0, abs=1e-6)


def test_two_basins_have_the_barrier_between_them():
    def basins(network):
        return jnp.sum((network["params"]["w"] ** 2 - 1) ** 2)

    values = linear_path(basins, at(-1), at(1))
    assert float(barrier(values)) == pytest.approx(1, abs=1e-6)
    half = linear_path(basins, at(-1), at(1), coefficients=(0, 0.25, 1))
    np.testing.assert_allclose(half, [0, 0.75**2, 0], atol=1e-6)


def test_the_ends_are_the_networks_themselves_and_walking_back_gives_the_same():
    def everything(network):
        return {"w": bowl(network), "statistic": network["batch_stats"]["mean"]}

    there = linear_path(everything, at(0.3, -2), at(1.7, 0.9))
    back = linear_path(everything, at(1.7, 0.9), at(0.3, -2))
    for end, network in ((0, at(0.3, -2)), (-1, at(1.7, 0.9))):
        np.testing.assert_array_equal(there["w"][end], bowl(network))
        np.testing.assert_array_equal(there["statistic"][end], network["batch_stats"]["mean"])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b[::-1], rtol=1e-5), there, back)


def test_recalibration_replaces_the_statistics_of_every_mix_by_one_draw():
    def recalibrate(network, key):
        mean = jax.random.uniform(key) + network["params"]["w"][0, 0]
        return {**network, "batch_stats": {"mean": mean}}

    values = linear_path(
        lambda network: network["batch_stats"]["mean"], at(0.0), at(1.0), recalibrate=recalibrate, key=KEY
    )
    np.testing.assert_allclose(values, jax.random.uniform(KEY) + np.array(TENTHS, np.float32), rtol=1e-6)


def test_a_path_is_compiled_once_for_all_pairs():
    traces = []

    def counted(network):
        traces.append(None)
        return bowl(network)

    for end in (1.0, 2.0, 3.0):
        linear_path(counted, at(0.0), at(end))
    assert len(traces) == 1


@given(arrays(np.float32, (4, 7), elements=st.floats(0, 1, width=32)))
def test_a_barrier_is_never_negative_and_shifts_with_nothing(errors):
    heights = barrier(jnp.asarray(errors))
    assert heights.shape == (4,)
    assert np.all(heights >= -1e-6)
    np.testing.assert_allclose(barrier(jnp.asarray(errors + 1)), heights, atol=1e-5)


def test_a_path_leads_between_trees_of_any_kind_and_never_broadcasts():
    values = linear_path(lambda network: jnp.sum(network[0] ** 2), [jnp.array(-1.0)], [jnp.array(1.0)])
    np.testing.assert_allclose(values, [(2 * c - 1) ** 2 for c in TENTHS], atol=1e-6)
    with pytest.raises(ValueError, match="params/w"):
        linear_path(bowl, at(1, 2), at(1))


def test_bad_input_is_refused_by_field():
    with pytest.raises(ValueError, match=r"^coefficients: .*1\.5"):
        linear_path(bowl, at(0.0), at(1.0), coefficients=(0, 1.5))
    with pytest.raises(ValueError, match=r"^key: .*recalibrate"):
        linear_path(bowl, at(0.0), at(1.0), recalibrate=lambda network, key: network)
