"""Every row of the table of methods, by what it does to known weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from lpjax.pools import METHODS, STANDARD, recalibrated, running_mean
from lpjax.sparsity import kept
from lpjax.types import Ticket, Variables

KEY = jax.random.key(0)


def evaluate(variables):
    return -jnp.sum((variables.params["w"] - 1) ** 2) + 0 * jnp.sum(variables.stats["mean"])


def recalibrate(variables, key):
    return variables._replace(stats={"mean": jax.random.uniform(key, (2,))})


def one_hot(place):
    """A ticket whose weights say how much of it is in a mix."""
    return Variables({"w": jnp.eye(19)[place]}, {"mean": jnp.full(2, float(place))})


def shares(method, newcomers):
    search = METHODS[method].build(evaluate, None)
    state = search.init(Ticket(one_hot(0), {"w": jnp.ones(19, bool)}), KEY)
    for place in range(1, newcomers + 1):
        state, _ = search.step(state, one_hot(place))
    return search.ticket(state).variables.params["w"][: newcomers + 1]


@pytest.mark.parametrize(
    ("method", "weights"),
    [
        ("swa", (0.25, 0.25, 0.25, 0.25)),
        ("uniform", (0.25, 0.25, 0.25, 0.25)),
        ("ema_newest", (1.25e-4, 0.002375, 0.0475, 0.95)),
        ("ema_decay", (0.857375, 0.045125, 0.0475, 0.05)),
    ],
)
def test_an_average_gives_anchor_and_newcomers_their_shares(method, weights):
    np.testing.assert_allclose(shares(method, newcomers=3), weights, rtol=1e-5)


def test_after_eighteen_newcomers_a_decaying_average_keeps_two_fifths_of_the_anchor():
    np.testing.assert_allclose(shares("ema_decay", newcomers=18)[0], 0.39721432, rtol=1e-5)


def test_the_running_mean_weighs_the_newcomer_as_one_of_all():
    coefficients = [running_mean(jnp.int32(tried)).item() for tried in range(4)]
    np.testing.assert_allclose(coefficients, [1 / 2, 1 / 3, 1 / 4, 1 / 5], rtol=1e-6)


def ticket_of(count, seed=0):
    weights = np.random.default_rng(seed).normal(size=12).astype(np.float32)
    mask = np.arange(12) < count
    variables = Variables({"w": jnp.asarray(np.where(mask, weights, 0)), "bias": jnp.ones(3)}, {"mean": jnp.zeros(2)})
    return Ticket(variables, {"w": jnp.asarray(mask), "bias": jnp.array(True)})


@pytest.mark.parametrize("name", STANDARD)
def test_every_method_builds_and_keeps_the_anchors_count(name):
    method = METHODS[name]
    search = method.build(evaluate, recalibrate, chunk=2)
    for count in (12, 7, 1):
        state = search.init(ticket_of(count), KEY)
        for seed, newcomer in enumerate((10, 3) if method.newcomers else ()):
            state, _ = search.step(state, ticket_of(newcomer, seed + 1).variables)
        ticket = search.ticket(state)
        assert int(kept(ticket.mask)) == count
        assert ticket.mask["bias"].shape == ()
        np.testing.assert_array_equal(jnp.where(ticket.mask["w"], 0, ticket.variables.params["w"]), 0)
    assert method.about.endswith(".")
    assert method.reference


def test_all_methods_but_the_control_take_newcomers():
    assert [name for name, method in METHODS.items() if not method.newcomers] == ["recalibrated"]


def test_the_control_changes_statistics_alone_and_measures_after_changing_them():
    def mean_of_statistics(variables):
        return jnp.mean(variables.stats["mean"])

    ticket = ticket_of(5)
    search = recalibrated(mean_of_statistics, recalibrate)
    state = search.init(ticket, KEY)
    control = search.ticket(state)
    np.testing.assert_array_equal(control.variables.params["w"], ticket.variables.params["w"])
    np.testing.assert_array_equal(control.mask["w"], ticket.mask["w"])
    expected = jax.random.uniform(KEY, (2,))
    np.testing.assert_array_equal(control.variables.stats["mean"], expected)
    np.testing.assert_allclose(state.value, expected.mean(), rtol=1e-6)


def test_the_control_sees_the_images_that_a_pool_of_the_same_key_sees():
    control = METHODS["recalibrated"].build(evaluate, recalibrate)
    mixed = METHODS["swa"].build(evaluate, recalibrate)
    state, _ = mixed.step(mixed.init(ticket_of(5), KEY), ticket_of(3).variables)
    np.testing.assert_array_equal(
        state.variables.stats["mean"], control.init(ticket_of(5), KEY).variables.stats["mean"]
    )


def outcome_of(name, anchor, newcomers):
    search = METHODS[name].build(evaluate, recalibrate, chunk=2)
    state = search.init(anchor, KEY)
    for newcomer in newcomers:
        state, _ = search.step(state, newcomer)
    return search.ticket(state).variables.params["w"]


def with_weights(*weights):
    padded = jnp.pad(jnp.array(weights, jnp.float32), (0, 12 - len(weights)))
    variables = ticket_of(12).variables
    return Ticket(
        variables._replace(params={**variables.params, "w": padded}), {"w": padded != 0, "bias": jnp.array(True)}
    )


def test_the_best_single_ticket_wins_outright():
    good = with_weights(0.9, 0.1, 0.7, 1.1, 0.8, 0.2).variables
    newcomers = [ticket_of(12, 3).variables, good, ticket_of(12, 4).variables]
    np.testing.assert_allclose(outcome_of("best_single", ticket_of(4), newcomers)[:6], [0.9, 0, 0.7, 1.1, 0.8, 0])


def test_uniform_prunes_the_mean_once_where_swa_prunes_every_step():
    anchor, *newcomers = with_weights(4, 3, 0, 0), with_weights(5, 0, 2, 0), with_weights(5, 0, 4, 0)
    newcomers = [newcomer.variables for newcomer in newcomers]
    np.testing.assert_allclose(outcome_of("swa", anchor, newcomers)[:4], [14 / 3, 0, 4 / 3, 0], rtol=1e-5)
    np.testing.assert_allclose(outcome_of("uniform", anchor, newcomers)[:4], [14 / 3, 0, 2, 0], rtol=1e-5)


def test_the_control_compiles_once_and_takes_the_images_as_an_argument():
    held = []

    def shifted(data, variables, key):
        held.append(data)
        return variables._replace(stats={"mean": data[:2]})

    search = recalibrated(evaluate, Partial(shifted, jnp.arange(4.0)))
    for count in (5, 3):
        search.init(ticket_of(count), KEY)
    (data,) = held
    assert isinstance(data, jax.core.Tracer)
