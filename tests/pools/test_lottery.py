"""The pool engine: what it may never do, whatever it is asked to mix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jax.tree_util import Partial

from lpjax.pools import INTERPOLATION, pool
from lpjax.sparsity import kept
from lpjax.types import Ticket, Variables

KEY = jax.random.key(0)
SIZE = 12
GOAL = np.round(np.linspace(-8, 8, SIZE)).astype(np.float32) / 8


def evaluate(variables):
    return -jnp.sum((variables.params["w"] - GOAL) ** 2)


def recalibrate(variables, key):
    return variables._replace(stats={"mean": jax.random.uniform(key, (2,))})


def indifferent(variables):
    return 0 * jnp.sum(variables.params["w"])


def variables_of(weights, mean=0.0):
    return Variables(
        {"w": jnp.asarray(weights, jnp.float32), "bias": jnp.ones(3)}, {"mean": jnp.full(2, mean, jnp.float32)}
    )


def ticket_of(weights, mean=0.0):
    """A ticket whose living weights are those that are not zero."""
    variables = variables_of(weights, mean)
    return Ticket(variables, {"w": variables.params["w"] != 0, "bias": jnp.array(True)})


def random_ticket(count, seed=0):
    weights = np.random.default_rng(seed).normal(size=SIZE)
    weights[np.random.default_rng(seed + 100).permutation(SIZE)[count:]] = 0
    return ticket_of(weights)


def assert_equal(tree, other):
    jax.tree.map(np.testing.assert_array_equal, tree, other)


# Pools of one evaluation, shape and rule share a compiled program.
search = pool(evaluate)


def taken(anchor, newcomer, coefficient):
    """The state after a newcomer that is accepted whatever its value."""
    always = pool(evaluate, coefficients=(coefficient,), accept="always")
    return always.step(always.init(anchor, KEY), newcomer)[0]


def padded(*weights):
    return np.pad(np.array(weights, np.float32), (0, SIZE - len(weights)))


sparse_weights = hnp.arrays(np.float32, SIZE, elements=st.sampled_from([0.0]) | st.floats(-2, 2, width=16))
newcomers_of_any_mask = st.lists(sparse_weights, min_size=1, max_size=4)


@given(sparse_weights, newcomers_of_any_mask)
@settings(deadline=None, max_examples=30)
def test_acceptance_never_lowers_the_value_and_never_changes_the_count(anchor, newcomers):
    ticket = ticket_of(anchor)
    state = search.init(ticket, KEY)
    for tried, newcomer in enumerate(newcomers):
        before = state
        state, trial = search.step(state, variables_of(newcomer))
        assert float(state.value) >= float(before.value)
        assert bool(trial.accepted) == (float(trial.value) >= float(before.value))
        assert int(state.tried) == tried + 1
        assert int(state.accepted) == int(before.accepted) + int(trial.accepted)
        assert int(kept(state.mask)) == int(state.kept) == int(kept(ticket.mask))
        np.testing.assert_array_equal(np.asarray(state.variables.params["w"])[~np.asarray(state.mask["w"])], 0)
        np.testing.assert_allclose(evaluate(state.variables), state.value, rtol=1e-5, atol=1e-6)


@given(sparse_weights, newcomers_of_any_mask)
@settings(deadline=None, max_examples=20)
def test_the_trial_reports_the_best_of_all_values(anchor, newcomers):
    state = search.init(ticket_of(anchor), KEY)
    for newcomer in newcomers:
        state, trial = search.step(state, variables_of(newcomer))
        np.testing.assert_allclose(trial.coefficients, INTERPOLATION, rtol=1e-6)
        best = int(np.argmax(trial.values))
        assert (float(trial.value), float(trial.coefficient)) == (trial.values[best], trial.coefficients[best])


def test_coefficient_zero_is_the_anchor_and_one_the_newcomer_at_the_anchors_count():
    anchor, newcomer = random_ticket(5), random_ticket(9, 1)
    nothing, everything = (taken(anchor, newcomer.variables, c) for c in (0.0, 1.0))
    assert_equal((nothing.variables, nothing.mask), tuple(anchor))
    weights = np.asarray(newcomer.variables.params["w"])
    largest = np.sort(np.argsort(np.abs(weights))[-5:])
    np.testing.assert_array_equal(np.flatnonzero(everything.mask["w"]), largest)
    np.testing.assert_array_equal(everything.variables.params["w"][largest], weights[largest])


def test_a_mix_revives_weights_that_the_anchor_lacks():
    state = taken(ticket_of(padded(0.9, 0, 0.5, 0)), variables_of(padded(0.1, 0.8, 0.2, 0.6)), 0.5)
    np.testing.assert_allclose(state.variables.params["w"], padded(0.5, 0.4, 0, 0))
    assert np.flatnonzero(state.mask["w"]).tolist() == [0, 1]


def test_ties_at_the_cut_keep_the_exact_count_where_a_threshold_would_keep_more():
    state = taken(ticket_of(padded(1, 1, 1)), variables_of(padded(0.5, -0.5, 0.3, 0.3, 0.3, 0.1)), 1.0)
    np.testing.assert_allclose(state.variables.params["w"], padded(0.5, -0.5, 0, 0, 0.3, 0))


def test_without_recalibration_statistics_are_mixed_like_weights():
    state = taken(ticket_of(GOAL, mean=1.0), variables_of(GOAL, mean=5.0), 0.25)
    np.testing.assert_allclose(state.variables.stats["mean"], [2.0, 2.0])


def test_a_rejected_newcomer_leaves_no_trace():
    anchor = ticket_of(np.where(np.arange(SIZE) < 6, GOAL, 0), mean=7.0)
    for prune in ("during", "after"):
        guarded = pool(evaluate, recalibrate, accept=">", prune=prune)
        state = guarded.init(anchor, KEY)
        after, trial = guarded.step(state, variables_of(-10 * GOAL))
        assert not trial.accepted
        assert int(after.tried) == 1
        assert_equal(after._replace(tried=state.tried, key=0), state._replace(key=0))
        assert_equal(jax.random.key_data(after.key), jax.random.key_data(KEY))


@pytest.mark.parametrize("prune", ["during", "after"])
def test_without_an_acceptance_the_outcome_is_the_ticket_itself_statistics_included(prune):
    anchor = ticket_of(np.where(np.arange(SIZE) % 2, GOAL, 0), mean=7.0)
    guarded = pool(evaluate, recalibrate, accept=">", prune=prune)
    state = guarded.init(anchor, KEY)
    assert_equal(guarded.ticket(state), anchor)
    for seed in range(3):
        state, _ = guarded.step(state, variables_of(-10 * GOAL, mean=seed))
    assert int(state.accepted) == 0
    assert_equal(guarded.ticket(state), anchor)


def test_pruned_after_the_search_an_accepted_mix_is_cut_and_recalibrated_once():
    anchor, newcomer = random_ticket(4), random_ticket(9, 1)
    late = pool(evaluate, recalibrate, accept="always", prune="after", coefficients=(0.5,))
    state, _ = late.step(late.init(anchor, KEY), newcomer.variables)
    union = (np.asarray(anchor.variables.params["w"]) != 0) | (np.asarray(newcomer.variables.params["w"]) != 0)
    np.testing.assert_array_equal(state.variables.params["w"] != 0, union)
    outcome = late.ticket(state)
    assert int(kept(outcome.mask)) == 4
    np.testing.assert_array_equal(outcome.variables.params["w"] != 0, outcome.mask["w"])
    np.testing.assert_array_equal(outcome.variables.stats["mean"], jax.random.uniform(KEY, (2,)))


def test_a_value_that_is_not_a_number_is_never_accepted():
    def undefined_beyond_half(variables):
        share = variables.stats["mean"][0]
        return jnp.where(share < 0.5, share, jnp.nan)

    fragile = pool(undefined_beyond_half)
    state = fragile.init(ticket_of(GOAL), KEY)
    state, trial = fragile.step(state, variables_of(GOAL, mean=1.0))
    assert jnp.isnan(trial.values).any()
    np.testing.assert_allclose((trial.coefficient, trial.value), 0.4)
    assert trial.accepted
    after, trial = fragile.step(state, variables_of(GOAL, mean=jnp.nan))
    assert jnp.isnan(trial.values).all()
    assert not trial.accepted
    assert_equal(after.variables, state.variables)
    assert after.value == state.value


def test_among_equal_values_the_first_coefficient_wins():
    for coefficients in ((0.25, 0.5, 0.75), (0.75, 0.25, 0.5)):
        flat = pool(indifferent, coefficients=coefficients)
        _, trial = flat.step(flat.init(random_ticket(5), KEY), random_ticket(4, 1).variables)
        np.testing.assert_allclose(trial.coefficient, coefficients[0])


@pytest.mark.parametrize(("accept", "accepted"), [(">=", True), (">", False), ("always", True)])
def test_acceptance_decides_what_happens_to_an_equal_value(accept, accepted):
    flat = pool(indifferent, coefficients=(0.25, 0.5, 0.75), accept=accept)
    _, trial = flat.step(flat.init(random_ticket(5), KEY), random_ticket(4, 1).variables)
    assert bool(trial.accepted) is accepted


def searched(anchor, newcomers, chunk, coefficients):
    chunked = pool(evaluate, recalibrate, chunk=chunk, coefficients=coefficients)
    state, trials = chunked.init(anchor, KEY), []
    for newcomer in newcomers:
        state, trial = chunked.step(state, newcomer)
        trials.append(trial)
    return trials, state._replace(key=0)


@pytest.mark.parametrize("chunk", [4, 11])
def test_chunks_give_the_same_bits_where_arithmetic_is_exact(chunk):
    rng = np.random.default_rng(0)
    quarters = rng.integers(-4, 5, (3, SIZE)) / 4
    anchor, newcomers = ticket_of(quarters[0] * (np.arange(SIZE) < 8)), [variables_of(row) for row in quarters[1:]]
    sixteenths = tuple(n / 16 for n in range(2, 13))
    loop = searched(anchor, newcomers, 1, sixteenths)
    assert int(loop[1].accepted) > 0
    assert_equal(searched(anchor, newcomers, chunk, sixteenths), loop)


@pytest.mark.parametrize("chunk", [4, 11])
def test_chunks_take_the_same_decisions(chunk):
    newcomers = [random_ticket(6 + seed, seed).variables for seed in range(1, 5)]
    trials, state = searched(random_ticket(6), newcomers, chunk, INTERPOLATION)
    expected_trials, expected = searched(random_ticket(6), newcomers, 1, INTERPOLATION)
    for trial, wanted in zip(trials, expected_trials, strict=True):
        assert (bool(trial.accepted), float(trial.coefficient)) == (bool(wanted.accepted), float(wanted.coefficient))
    assert_equal(state.mask, expected.mask)
    np.testing.assert_allclose(state.variables.params["w"], expected.variables.params["w"], rtol=1e-6)


def draws_seen(*, fresh, chunk):
    """Two newcomers whose candidates' values are what their recalibration drew."""
    settings = {"fresh": fresh, "chunk": chunk, "coefficients": (0.25, 0.5, 0.75)}
    telling = pool(lambda variables: variables.stats["mean"][0], recalibrate, **settings)
    state = telling.init(random_ticket(5), KEY)
    state, first = telling.step(state, random_ticket(4, 1).variables)
    _, second = telling.step(state, random_ticket(3, 2).variables)
    return np.concatenate([first.values, second.values]), state


def test_every_candidate_of_an_anchor_is_recalibrated_on_the_same_images():
    draws, state = draws_seen(fresh=False, chunk=1)
    expected = jax.random.uniform(KEY, (2,))
    np.testing.assert_array_equal(draws, np.full(6, expected[0]))
    np.testing.assert_array_equal(state.variables.stats["mean"], expected)


def test_fresh_numbers_give_every_candidate_images_of_its_own():
    draws, state = draws_seen(fresh=True, chunk=2)
    assert len(set(draws.tolist())) == 6
    np.testing.assert_array_equal(state.variables.stats["mean"][0], draws[:3].max())  # the winner keeps its own


def test_coefficients_may_follow_the_number_of_newcomers_seen():
    growing = pool(evaluate, coefficients=lambda tried: (tried + jnp.arange(11)) / 16)
    state = growing.init(random_ticket(5), KEY)
    for tried in range(3):
        state, trial = growing.step(state, random_ticket(4, tried).variables)
        np.testing.assert_allclose(trial.coefficients, (tried + np.arange(11)) / 16)


def test_one_compilation_serves_anchors_of_every_density():
    traces = []

    def counted(variables):
        traces.append(variables)
        return evaluate(variables)

    one = pool(counted, recalibrate, coefficients=(0.25, 0.5))
    for count, value in ((12, None), (7, None), (3, -100.0), (5, np.float32(-3))):
        state = one.init(random_ticket(count), KEY, value)
        for seed in range(3):
            state, _ = one.step(state, random_ticket(4 + seed, seed).variables)
    assert len(traces) == 2  # the anchor's own value, the grid


def test_what_evaluation_and_recalibration_hold_becomes_an_argument_and_no_constant():
    held = []

    def value(data, variables):
        held.append(data)
        return jnp.sum(variables.params["w"]) + data[0]

    def shifted(data, variables, key):
        held.append(data)
        return variables._replace(stats={"mean": data[:2]})

    full = pool(Partial(value, jnp.arange(4.0)), Partial(shifted, jnp.arange(4.0)), accept="always", prune="after")
    state, _ = full.step(full.init(random_ticket(5), KEY), random_ticket(4, 1).variables)
    full.ticket(state)
    assert len(held) == 4
    assert all(isinstance(data, jax.core.Tracer) for data in held)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"accept": "=>"}, r"unknown accept '=>'; did you mean '>'\? \(known: >=, >, always\)"),
        ({"prune": "before"}, "unknown prune 'before'; choose one of during, after"),
        ({"chunk": 0}, "chunk 0 is out of range; give the number of candidates held at once, 1 or more"),
        ({"coefficients": ()}, r"got no coefficient; give one or more in \[0, 1\]"),
        ({"coefficients": (0.5, 1.5)}, r"coefficient 1.5 is out of range; give weights of the newcomer in \[0, 1\]"),
        ({"coefficients": (float("nan"),)}, r"coefficient nan is out of range; give weights of .* in \[0, 1\]"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_in_one_line(wrong, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        pool(evaluate, **wrong)
