"""Every row of the table of methods, by what it does to known weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from lpjax.pools import METHODS, STANDARD, recalibrated, running_mean
from lpjax.sparsity import assert_on_mask, full_mask, kept
from lpjax.types import Ticket

KEY = jax.random.key(0)


def evaluate(variables):
    return -jnp.sum((variables["params"]["w"] - 1) ** 2) + 0 * jnp.sum(variables["batch_stats"]["mean"])


def recalibrate(variables, key):
    return {**variables, "batch_stats": {"mean": jax.random.uniform(key, (2,))}}


def one_hot(place):
    """A ticket whose weights say how much of it is in a mix."""
    return {"params": {"w": jnp.eye(19)[place][None]}, "batch_stats": {"mean": jnp.full(2, float(place))}}


def shares(method, candidates):
    search = METHODS[method].build(evaluate, None)
    state = search.init(Ticket(one_hot(0), full_mask(one_hot(0))))
    for place in range(1, candidates + 1):
        state, _ = search.step(state, one_hot(place))
    return search.ticket(state).params["params"]["w"][0, : candidates + 1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "weights"),
    [
        ("swa", (0.25, 0.25, 0.25, 0.25)),
        ("uniform", (0.25, 0.25, 0.25, 0.25)),
        ("ema_newest", (1.25e-4, 0.002375, 0.0475, 0.95)),
        ("ema_decay", (0.857375, 0.045125, 0.0475, 0.05)),
    ],
)
def test_an_average_gives_anchor_and_candidates_their_shares(method, weights):
    np.testing.assert_allclose(shares(method, candidates=3), weights, rtol=1e-5)


@pytest.mark.slow
def test_after_eighteen_candidates_a_decaying_average_keeps_two_fifths_of_the_anchor():
    np.testing.assert_allclose(shares("ema_decay", candidates=18)[0], 0.39721432, rtol=1e-5)


def test_the_running_mean_weighs_the_candidate_as_one_of_all():
    coefficients = [running_mean(jnp.int32(tried)).item() for tried in range(4)]
    np.testing.assert_allclose(coefficients, [1 / 2, 1 / 3, 1 / 4, 1 / 5], rtol=1e-6)


def ticket_of(count, seed=0):
    weights = np.random.default_rng(seed).normal(size=12).astype(np.float32)
    return with_weights(*np.where(np.arange(12) < count, weights, 0))


def with_weights(*weights):
    """All variables of a network, batch statistics included, and the mask of its weights that are not zero."""
    padded = jnp.pad(jnp.array([weights], jnp.float32), ((0, 0), (0, 12 - len(weights))))
    params = {"w": padded, "bias": jnp.ones(3)}
    mask = {"params": {"w": padded != 0, "bias": np.True_}, "batch_stats": {"mean": np.True_}}
    return Ticket({"params": params, "batch_stats": {"mean": jnp.zeros(2)}}, mask)


@pytest.mark.parametrize("name", STANDARD)
def test_every_method_builds_and_keeps_the_anchors_count(name):
    method = METHODS[name]
    search = method.build(evaluate, recalibrate, chunk=2)
    for count in (12, 7, 1):
        state = search.init(ticket_of(count), KEY)
        for seed, candidate in enumerate((10, 3) if method.candidates else ()):
            state, _ = search.step(state, ticket_of(candidate, seed + 1).params)
        ticket = search.ticket(state)
        assert int(kept(ticket.mask)) == count
        assert ticket.mask["params"]["bias"].all()
        assert_on_mask(ticket.params, ticket.mask)
    assert method.about.endswith(".")
    assert method.reference


def test_all_methods_but_the_control_take_candidates():
    assert [name for name, method in METHODS.items() if not method.candidates] == ["recalibrated"]


def test_the_control_changes_statistics_alone_and_measures_after_changing_them():
    def mean_of_statistics(variables):
        return jnp.mean(variables["batch_stats"]["mean"])

    ticket = ticket_of(5)
    search = recalibrated(mean_of_statistics, recalibrate)
    state = search.init(ticket, KEY)
    control = search.ticket(state)
    np.testing.assert_array_equal(control.params["params"]["w"], ticket.params["params"]["w"])
    np.testing.assert_array_equal(control.mask["params"]["w"], ticket.mask["params"]["w"])
    expected = jax.random.uniform(KEY, (2,))
    np.testing.assert_array_equal(control.params["batch_stats"]["mean"], expected)
    np.testing.assert_allclose(state.value, expected.mean(), rtol=1e-6)


def test_the_control_sees_the_images_that_a_pool_of_the_same_key_sees():
    control = METHODS["recalibrated"].build(evaluate, recalibrate)
    mixed = METHODS["swa"].build(evaluate, recalibrate)
    state, _ = mixed.step(mixed.init(ticket_of(5), KEY), ticket_of(3).params)
    np.testing.assert_array_equal(
        state.params["batch_stats"]["mean"], control.init(ticket_of(5), KEY).params["batch_stats"]["mean"]
    )


def outcome_of(name, anchor, candidates):
    search = METHODS[name].build(evaluate, recalibrate, chunk=2)
    state = search.init(anchor, KEY)
    for candidate in candidates:
        state, _ = search.step(state, candidate)
    return search.ticket(state).params["params"]["w"][0]


def test_the_best_single_ticket_wins_outright():
    good = with_weights(0.9, 0.1, 0.7, 1.1, 0.8, 0.2).params
    candidates = [ticket_of(12, 3).params, good, ticket_of(12, 4).params]
    np.testing.assert_allclose(outcome_of("best_single", ticket_of(4), candidates)[:6], [0.9, 0, 0.7, 1.1, 0.8, 0])


def test_uniform_prunes_the_mean_once_where_swa_prunes_every_step():
    anchor, *candidates = with_weights(4, 3, 0, 0), with_weights(5, 0, 2, 0), with_weights(5, 0, 4, 0)
    candidates = [candidate.params for candidate in candidates]
    np.testing.assert_allclose(outcome_of("swa", anchor, candidates)[:4], [14 / 3, 0, 4 / 3, 0], rtol=1e-5)
    np.testing.assert_allclose(outcome_of("uniform", anchor, candidates)[:4], [14 / 3, 0, 2, 0], rtol=1e-5)


def test_the_control_compiles_once_and_takes_the_images_as_an_argument():
    held = []

    def shifted(data, variables, key):
        held.append(data)
        return {**variables, "batch_stats": {"mean": data[:2]}}

    search = recalibrated(evaluate, Partial(shifted, jnp.arange(4.0)))
    for count in (5, 3):
        search.init(ticket_of(count), KEY)
    (data,) = held
    assert isinstance(data, jax.core.Tracer)


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if not method.selects])
def test_a_method_that_selects_nothing_comes_to_the_same_without_measuring(name):
    outcomes = []
    for measure in (evaluate, None):
        search = METHODS[name].build(measure, recalibrate)
        state = search.init(ticket_of(7), KEY)
        for seed, count in enumerate((10, 3)):
            state, trial = search.step(state, ticket_of(count, seed + 1).params)
            assert bool(trial.accepted)
        outcomes.append(search.ticket(state))
        assert int(state.accepted) == int(state.tried) == 2
    assert np.isnan(trial.value)
    assert np.isnan(trial.values).all()
    jax.tree.map(np.testing.assert_array_equal, *outcomes)


def test_without_candidates_an_unmeasured_pool_is_the_ticket_itself():
    search = METHODS["swa"].build(None, recalibrate)
    outcome = search.ticket(search.init(ticket_of(7), KEY))
    jax.tree.map(np.testing.assert_array_equal, outcome, ticket_of(7))


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.selects])
def test_a_method_that_selects_needs_an_evaluation(name):
    with pytest.raises(ValueError, match="evaluate"):
        METHODS[name].build(None, recalibrate)


def test_the_control_takes_no_candidate_and_needs_a_key():
    control = recalibrated(evaluate, recalibrate)
    with pytest.raises(ValueError, match="candidate"):
        control.step(control.init(ticket_of(5), KEY), ticket_of(3).params)
    with pytest.raises(ValueError, match="key"):
        control.init(ticket_of(5))
