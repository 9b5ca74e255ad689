"""The pool engine: what it may never do, whatever it is asked to mix."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jax.tree_util import Partial

from lpjax.pools import INTERPOLATION, pool
from lpjax.sparsity import all_leaves, apply_mask, assert_on_mask, full_mask, kept
from lpjax.types import Ticket, Variables

KEY = jax.random.key(0)
SIZE = 12
SHAPE = (3, 4)
GOAL = (np.round(np.linspace(-8, 8, SIZE)).astype(np.float32) / 8).reshape(SHAPE)


def evaluate(variables):
    return -jnp.sum((variables["params"]["w"] - GOAL) ** 2)


def recalibrate(variables, key):
    return {**variables, "batch_stats": {"mean": jax.random.uniform(key, (2,))}}


def indifferent(variables):
    return 0 * jnp.sum(variables["params"]["w"])


def variables_of(weights, mean=0.0):
    """All variables of a network, as linen has them."""
    params = {"w": jnp.asarray(weights, jnp.float32).reshape(SHAPE), "bias": jnp.ones(3)}
    return {"params": params, "batch_stats": {"mean": jnp.full(2, mean, jnp.float32)}}


def ticket_of(weights, mean=0.0):
    """A ticket whose kept weights are those that are not zero."""
    variables = variables_of(weights, mean)
    mask = full_mask(variables)
    mask["params"]["w"] = variables["params"]["w"] != 0
    return Ticket(variables, mask)


def weights_of(tree):
    return np.asarray(tree["params"]["w"]).ravel()


def statistics_of(state):
    return np.asarray(state.params["batch_stats"]["mean"])


def random_ticket(count, seed=0):
    weights = np.random.default_rng(seed).normal(size=SIZE)
    weights[np.random.default_rng(seed + 100).permutation(SIZE)[count:]] = 0
    return ticket_of(weights)


def assert_equal(tree, other):
    jax.tree.map(np.testing.assert_array_equal, tree, other)


# Pools of one evaluation, shape and rule share a compiled program.
search = pool(evaluate)


def taken(anchor, candidate, coefficient):
    """The state after a candidate that is accepted whatever its value."""
    always = pool(evaluate, coefficients=(coefficient,), accept="always")
    return always.step(always.init(anchor), candidate)[0]


def padded(*weights):
    return np.pad(np.array(weights, np.float32), (0, SIZE - len(weights)))


sparse_weights = hnp.arrays(np.float32, SIZE, elements=st.sampled_from([0.0]) | st.floats(-2, 2, width=16))
candidates_of_any_mask = st.lists(sparse_weights, min_size=1, max_size=4)


@given(sparse_weights, candidates_of_any_mask)
@settings(deadline=None, max_examples=30)
def test_acceptance_never_lowers_the_value_and_never_changes_the_count(anchor, candidates):
    ticket = ticket_of(anchor)
    state = search.init(ticket)
    for tried, candidate in enumerate(candidates):
        before = state
        state, trial = search.step(state, variables_of(candidate))
        assert float(state.value) >= float(before.value)
        assert bool(trial.accepted) == (float(trial.value) >= float(before.value))
        assert int(state.tried) == tried + 1
        assert int(state.accepted) == int(before.accepted) + int(trial.accepted)
        assert int(kept(state.mask)) == int(state.kept) == int(kept(ticket.mask))
        assert_on_mask(state.params, state.mask)
        np.testing.assert_allclose(evaluate(state.params), state.value, rtol=1e-5, atol=1e-6)


@given(sparse_weights, candidates_of_any_mask)
@settings(deadline=None, max_examples=20)
def test_the_trial_reports_the_best_of_all_values(anchor, candidates):
    state = search.init(ticket_of(anchor))
    for candidate in candidates:
        state, trial = search.step(state, variables_of(candidate))
        np.testing.assert_allclose(trial.coefficients, INTERPOLATION, rtol=1e-6)
        best = int(np.argmax(trial.values))
        assert (float(trial.value), float(trial.coefficient)) == (trial.values[best], trial.coefficients[best])


def test_coefficient_zero_is_the_anchor_and_one_the_candidate_at_the_anchors_count():
    anchor, candidate = random_ticket(5), random_ticket(9, 1)
    nothing, everything = (taken(anchor, candidate.params, c) for c in (0.0, 1.0))
    assert_equal((nothing.params, nothing.mask), tuple(anchor))
    weights = weights_of(candidate.params)
    largest = np.sort(np.argsort(np.abs(weights))[-5:])
    np.testing.assert_array_equal(np.flatnonzero(weights_of(everything.mask)), largest)
    np.testing.assert_array_equal(weights_of(everything.params)[largest], weights[largest])


def test_a_mix_revives_weights_that_the_anchor_lacks():
    state = taken(ticket_of(padded(0.9, 0, 0.5, 0)), variables_of(padded(0.1, 0.8, 0.2, 0.6)), 0.5)
    np.testing.assert_allclose(weights_of(state.params), padded(0.5, 0.4, 0, 0))
    assert np.flatnonzero(weights_of(state.mask)).tolist() == [0, 1]


def test_ties_at_the_cut_keep_the_exact_count_where_a_threshold_would_keep_more():
    state = taken(ticket_of(padded(1, 1, 1)), variables_of(padded(0.5, -0.5, 0.3, 0.3, 0.3, 0.1)), 1.0)
    np.testing.assert_allclose(weights_of(state.params), padded(0.5, -0.5, 0, 0, 0.3, 0))


def test_without_recalibration_statistics_are_mixed_like_weights():
    state = taken(ticket_of(GOAL, mean=1.0), variables_of(GOAL, mean=5.0), 0.25)
    np.testing.assert_allclose(statistics_of(state), [2.0, 2.0])


def test_a_rejected_candidate_leaves_no_trace():
    anchor = ticket_of(np.where(np.arange(SIZE) < 6, GOAL.ravel(), 0), mean=7.0)
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
    anchor = ticket_of(np.where(np.arange(SIZE) % 2, GOAL.ravel(), 0), mean=7.0)
    guarded = pool(evaluate, recalibrate, accept=">", prune=prune)
    state = guarded.init(anchor, KEY)
    assert_equal(guarded.ticket(state), anchor)
    for seed in range(3):
        state, _ = guarded.step(state, variables_of(-10 * GOAL, mean=seed))
    assert int(state.accepted) == 0
    assert_equal(guarded.ticket(state), anchor)


def test_pruned_after_the_search_an_accepted_mix_is_cut_and_recalibrated_once():
    anchor, candidate = random_ticket(4), random_ticket(9, 1)
    late = pool(evaluate, recalibrate, accept="always", prune="after", coefficients=(0.5,))
    state, _ = late.step(late.init(anchor, KEY), candidate.params)
    union = (weights_of(anchor.params) != 0) | (weights_of(candidate.params) != 0)
    np.testing.assert_array_equal(weights_of(state.params) != 0, union)
    outcome = late.ticket(state)
    assert int(kept(outcome.mask)) == 4
    np.testing.assert_array_equal(weights_of(outcome.params) != 0, weights_of(outcome.mask))
    np.testing.assert_array_equal(statistics_of(outcome), jax.random.uniform(KEY, (2,)))


def test_a_value_that_is_not_a_number_is_never_accepted():
    def undefined_beyond_half(variables):
        share = variables["batch_stats"]["mean"][0]
        return jnp.where(share < 0.5, share, jnp.nan)

    fragile = pool(undefined_beyond_half)
    state = fragile.init(ticket_of(GOAL))
    state, trial = fragile.step(state, variables_of(GOAL, mean=1.0))
    assert jnp.isnan(trial.values).any()
    np.testing.assert_allclose((trial.coefficient, trial.value), 0.4)
    assert trial.accepted
    after, trial = fragile.step(state, variables_of(GOAL, mean=jnp.nan))
    assert jnp.isnan(trial.values).all()
    assert not trial.accepted
    assert_equal(after.params, state.params)
    assert after.value == state.value


def test_among_equal_values_the_first_coefficient_wins():
    for coefficients in ((0.25, 0.5, 0.75), (0.75, 0.25, 0.5)):
        flat = pool(indifferent, coefficients=coefficients)
        _, trial = flat.step(flat.init(random_ticket(5)), random_ticket(4, 1).params)
        np.testing.assert_allclose(trial.coefficient, coefficients[0])


@pytest.mark.parametrize(("accept", "accepted"), [(">=", True), (">", False), ("always", True)])
def test_acceptance_decides_what_happens_to_an_equal_value(accept, accepted):
    flat = pool(indifferent, coefficients=(0.25, 0.5, 0.75), accept=accept)
    _, trial = flat.step(flat.init(random_ticket(5)), random_ticket(4, 1).params)
    assert bool(trial.accepted) is accepted


def searched(anchor, candidates, chunk, coefficients):
    chunked = pool(evaluate, recalibrate, chunk=chunk, coefficients=coefficients)
    state, trials = chunked.init(anchor, KEY), []
    for candidate in candidates:
        state, trial = chunked.step(state, candidate)
        trials.append(trial)
    return trials, state._replace(key=0)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [4, 11])
def test_chunks_give_the_same_bits_where_arithmetic_is_exact(chunk):
    rng = np.random.default_rng(0)
    quarters = rng.integers(-4, 5, (3, SIZE)) / 4
    anchor, candidates = ticket_of(quarters[0] * (np.arange(SIZE) < 8)), [variables_of(row) for row in quarters[1:]]
    sixteenths = tuple(n / 16 for n in range(2, 13))
    loop = searched(anchor, candidates, 1, sixteenths)
    assert int(loop[1].accepted) > 0
    assert_equal(searched(anchor, candidates, chunk, sixteenths), loop)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [4, 11])
def test_chunks_take_the_same_decisions(chunk):
    candidates = [random_ticket(6 + seed, seed).params for seed in range(1, 5)]
    trials, state = searched(random_ticket(6), candidates, chunk, INTERPOLATION)
    expected_trials, expected = searched(random_ticket(6), candidates, 1, INTERPOLATION)
    for trial, wanted in zip(trials, expected_trials, strict=True):
        assert (bool(trial.accepted), float(trial.coefficient)) == (bool(wanted.accepted), float(wanted.coefficient))
    assert_equal(state.mask, expected.mask)
    np.testing.assert_allclose(weights_of(state.params), weights_of(expected.params), rtol=1e-6)


def draws_seen(*, batches, chunk):
    """Two candidates whose candidates' values are what their recalibration drew."""
    settings = {"recalibration_batches": batches, "chunk": chunk, "coefficients": (0.25, 0.5, 0.75)}
    telling = pool(lambda variables: variables["batch_stats"]["mean"][0], recalibrate, **settings)
    state = telling.init(random_ticket(5), KEY)
    state, first = telling.step(state, random_ticket(4, 1).params)
    _, second = telling.step(state, random_ticket(3, 2).params)
    return np.concatenate([first.values, second.values]), state


def test_every_candidate_of_an_anchor_is_recalibrated_on_the_same_images():
    draws, state = draws_seen(batches="shared", chunk=1)
    expected = jax.random.uniform(KEY, (2,))
    np.testing.assert_array_equal(draws, np.full(6, expected[0]))
    np.testing.assert_array_equal(statistics_of(state), expected)


@pytest.mark.slow
def test_fresh_numbers_give_every_candidate_images_of_its_own():
    draws, state = draws_seen(batches="fresh", chunk=2)
    assert len(set(draws.tolist())) == 6
    np.testing.assert_array_equal(statistics_of(state)[0], draws[:3].max())  # the winner keeps its own


def test_a_rank_that_is_the_evaluation_itself_changes_nothing():
    ranked = pool(evaluate, rank=evaluate)
    anchor, candidate = random_ticket(6), random_ticket(8, seed=1).params
    state, trial = ranked.step(ranked.init(anchor), candidate)
    expected_state, expected_trial = search.step(search.init(anchor), candidate)
    assert_equal(trial, expected_trial)
    assert_equal(state.params, expected_state.params)


def test_the_rank_chooses_the_mix_and_its_evaluation_after_recalibration_decides():
    def statistic(variables):
        return jnp.sum(variables["batch_stats"]["mean"])

    def nearness_to_the_candidate(variables):
        return jnp.sum(variables["params"]["w"])

    ranked = pool(statistic, recalibrate, rank=nearness_to_the_candidate, coefficients=(0.25, 0.75, 0.5))
    state = ranked.init(ticket_of(np.ones(SIZE)), KEY, 0.0)
    after, trial = ranked.step(state, variables_of(2 * np.ones(SIZE)))
    np.testing.assert_allclose(trial.values, SIZE * np.float32([1.25, 1.75, 1.5]))
    assert trial.coefficient == 0.75
    fresh = recalibrate(variables_of(np.ones(SIZE)), KEY)["batch_stats"]["mean"]
    np.testing.assert_allclose(trial.value, jnp.sum(fresh), rtol=1e-6)
    assert trial.accepted
    np.testing.assert_allclose(statistics_of(after), fresh)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_every_second_coefficient_leads_to_the_best_of_all_where_the_value_has_one_maximum(seed):
    exact, coarse = (pool(evaluate, prune="after", coarse_stride=stride) for stride in (1, 2))  # unpruned: a parabola
    anchor, candidate = random_ticket(SIZE, seed), random_ticket(SIZE, seed + 1).params
    expected_state, expected = exact.step(exact.init(anchor), candidate)
    state, trial = coarse.step(coarse.init(anchor), candidate)
    assert trial.coefficient == expected.coefficient
    assert_equal(state.params, expected_state.params)
    tried = ~np.isnan(trial.values)
    assert tried.sum() in (6, 7)  # five, and one or two beside the best of these
    np.testing.assert_array_equal(trial.values[tried], expected.values[tried])


def test_a_coarse_search_keeps_the_statistics_that_were_recalibrated_for_the_best():
    def drawn(variables):
        return variables["batch_stats"]["mean"][0]

    telling = pool(drawn, recalibrate, coarse_stride=3, recalibration_batches="fresh", accept="always")
    state, trial = telling.step(telling.init(random_ticket(5), KEY), random_ticket(4, 1).params)
    assert np.isnan(trial.values).sum() == 5
    assert statistics_of(state)[0] == trial.value == np.nanmax(trial.values)


def test_a_stride_that_saves_nothing_tries_all():
    for stride in (2, 3, 20):
        few = pool(evaluate, coefficients=(0.25, 0.5, 0.75), coarse_stride=stride)
        _, trial = few.step(few.init(random_ticket(6)), random_ticket(8, seed=1).params)
        assert not np.isnan(trial.values).any()


def test_a_rank_that_is_no_scalar_is_refused():
    ranked = pool(evaluate, rank=lambda variables: jnp.zeros(2))
    with pytest.raises(ValueError, match="rank: returned an array of shape"):
        ranked.step(ranked.init(random_ticket(6)), random_ticket(6, seed=1).params)


def test_coefficients_may_follow_the_number_of_candidates_seen():
    growing = pool(evaluate, coefficients=lambda tried: (tried + jnp.arange(11)) / 16)
    state = growing.init(random_ticket(5))
    for tried in range(3):
        state, trial = growing.step(state, random_ticket(4, tried).params)
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
            state, _ = one.step(state, random_ticket(4 + seed, seed).params)
    assert len(traces) == 2  # the anchor's own value, the grid


def test_what_evaluation_and_recalibration_hold_becomes_an_argument_and_no_constant():
    held = []

    def value(data, variables):
        held.append(data)
        return jnp.sum(variables["params"]["w"]) + data[0]

    def shifted(data, variables, key):
        held.append(data)
        return {**variables, "batch_stats": {"mean": data[:2]}}

    full = pool(Partial(value, jnp.arange(4.0)), Partial(shifted, jnp.arange(4.0)), accept="always", prune="after")
    state, _ = full.step(full.init(random_ticket(5), KEY), random_ticket(4, 1).params)
    full.ticket(state)
    assert len(held) == 4  # the anchor's value, both in the grid, and recalibration after the last pruning
    assert all(isinstance(data, jax.core.Tracer) for data in held)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"accept": "=>"}, "accept .*'=>'"),
        ({"prune": "before"}, "prune .*'before'"),
        ({"recalibration_batches": True}, "recalibration_batches .*True"),
        ({"chunk": 0}, "chunk: got 0"),
        ({"coefficients": ()}, "coefficients: got none"),
        ({"coefficients": ((0.1, 0.2),)}, "coefficients: got"),
        ({"coefficients": 0.5}, "coefficients: got 0.5"),
        ({"coefficients": jnp.float32(0.5)}, "coefficients: got 0.5"),
        ({"coefficients": (0.5, 1.5)}, r"coefficients: got 1\.5"),
        ({"coefficients": (float("nan"),)}, "coefficients: got nan"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(wrong, field):
    with pytest.raises((ValueError, TypeError), match=field):
        pool(evaluate, **wrong)


@pytest.mark.parametrize(
    "settings",
    [
        {"coefficients": (0.5,)},
        {"coefficients": (0.5,), "accept": ">"},
        {"accept": "always"},
        {"coefficients": (0.5,), "accept": "always", "rank": evaluate},
    ],
)
def test_without_an_evaluation_nothing_may_depend_on_a_value(settings):
    with pytest.raises(ValueError, match="evaluate: got None"):
        pool(None, **settings)


def test_computed_coefficients_are_an_array_and_without_an_evaluation_a_single_one():
    for coefficients, wrong in ((jnp.float32(0.5), "shape"), (jnp.array([0.2, 0.5]), "got 2")):
        unmeasured = pool(None, coefficients=lambda tried, returned=coefficients: returned, accept="always")
        with pytest.raises(ValueError, match=f"coefficients: .*{wrong}"):
            unmeasured.step(unmeasured.init(random_ticket(5)), random_ticket(5).params)


def test_weights_outside_the_mask_of_the_anchor_become_zero():
    dense = variables_of(GOAL)
    anchor = random_ticket(5)
    state = search.init(Ticket(dense, anchor.mask))
    expected = np.where(weights_of(anchor.mask), weights_of(dense), 0)
    np.testing.assert_array_equal(weights_of(search.ticket(state).params), expected)
    assert state.value == search.init(ticket_of(expected)).value


@pytest.mark.parametrize("prune", ["during", "after"])
def test_what_recalibration_does_to_weights_is_ignored(prune):
    def shifts_everything(variables, key):
        return jax.tree.map(lambda leaf: leaf + 1, recalibrate(variables, key))

    def shifts_statistics(variables, key):
        changed = shifts_everything(variables, key)
        return {**changed, "params": {**changed["params"], "w": variables["params"]["w"]}}

    outcomes = []
    for function in (shifts_everything, shifts_statistics, jax.jit(shifts_statistics)):
        one = pool(evaluate, function, coefficients=(0.25, 0.5), accept="always", prune=prune)
        state, _ = one.step(one.init(random_ticket(5), KEY), random_ticket(8, seed=1).params)
        outcomes.append(one.ticket(state))
    assert_equal(outcomes[0], outcomes[1])
    assert_equal(outcomes[0], outcomes[2])


def test_a_recalibration_that_loses_leaves_is_refused():
    one = pool(evaluate, lambda variables, key: variables["params"])
    with pytest.raises(ValueError, match="recalibrate"):
        one.step(one.init(random_ticket(5), KEY), random_ticket(5).params)


def test_a_given_value_is_compared_as_it_is_with_counts():
    counting = pool(lambda variables: jnp.sum(variables["params"]["w"] != 0), prune="after", coefficients=(1.0,))
    state = counting.init(random_ticket(2), value=4.5)
    state, trial = counting.step(state, random_ticket(4).params)
    assert not trial.accepted
    state, trial = counting.step(state, random_ticket(5).params)
    assert trial.accepted
    assert state.value == 5


@functools.partial(jax.tree_util.register_dataclass, data_fields=["weight", "bias"], meta_fields=["name"])
@dataclasses.dataclass
class Linear:
    """A layer as Equinox has it."""

    weight: Any
    bias: Any
    name: str


class Layer(NamedTuple):
    kernel: Any
    bias: Any


BUILD = {
    "dict": lambda weights, bias: {"kernel": weights, "bias": bias},
    "dataclass": lambda weights, bias: [Linear(weights, bias, "first"), Linear(weights[:1], None, "second")],
    "named tuple": lambda weights, bias: (Layer(weights, bias),),
    "nnx": lambda weights, bias: nnx.State({"layer": {"kernel": nnx.Param(weights), "bias": nnx.Param(bias)}}),
    "variables": lambda weights, bias: {"params": {"kernel": weights}, "batch_stats": {"mean": bias}},
    "of lpjax": lambda weights, bias: Variables({"kernel": weights}, {"mean": bias}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILD)
def test_any_pytree_is_searched_and_comes_back_as_it_was(name):
    rng = np.random.default_rng(0)
    networks = []
    for seed in range(3):
        networks.append(BUILD[name](jnp.asarray(rng.normal(size=SHAPE), jnp.float32), jnp.full(2, float(seed))))
    mask = jax.tree.map(lambda leaf: jnp.abs(leaf) > 0.5 if leaf.ndim > 1 else jnp.ones(leaf.shape, bool), networks[0])
    anchor = Ticket(apply_mask(networks[0], mask), mask)

    def value(network):
        return -sum(jnp.sum((leaf - 1) ** 2) for leaf in jax.tree.leaves(network))

    full = pool(value, coefficients=(0.25, 0.5, 0.75))
    state = full.init(anchor)
    for network in networks[1:]:
        state, _ = full.step(state, network)
    ticket = full.ticket(state)
    assert int(state.accepted) > 0
    assert jax.tree.structure(ticket.params) == jax.tree.structure(networks[0])
    assert int(kept(ticket.mask)) == int(kept(mask))
    assert_on_mask(ticket.params, ticket.mask)
    np.testing.assert_allclose(value(ticket.params), state.value, rtol=1e-5)


def test_variables_with_batch_statistics_are_recalibrated_and_statistics_are_never_pruned():
    anchor = random_ticket(5)

    def reset(variables, key):
        return {**variables, "batch_stats": {"mean": jax.random.uniform(key, (2,)) + weights_of_mix(variables)}}

    def weights_of_mix(variables):
        return jnp.count_nonzero(variables["params"]["w"]).astype(jnp.float32)

    full = pool(lambda variables: variables["batch_stats"]["mean"][0], reset, accept="always")
    state, trial = full.step(full.init(anchor, KEY), random_ticket(9, 1).params)
    expected = jax.random.uniform(KEY, (2,)) + 5  # recalibration sees the pruned mix
    np.testing.assert_allclose(statistics_of(state), expected)
    np.testing.assert_allclose(trial.values, np.full(len(INTERPOLATION), expected[0]))
    assert full.ticket(state).mask["batch_stats"]["mean"].all()


def test_a_key_is_needed_with_recalibration_alone():
    state = pool(evaluate).init(random_ticket(5))
    assert int(state.kept) == 5
    with pytest.raises(ValueError, match=r"^key: .*recalibrate"):
        pool(evaluate, recalibrate).init(random_ticket(5))


@pytest.mark.parametrize("shape", [(1, 4), (3, 1), (4, 3), (12,)])
def test_a_candidate_of_another_shape_is_refused_by_the_leafs_name_and_never_broadcast(shape):
    state = search.init(random_ticket(5))
    other = variables_of(GOAL)
    other["params"]["w"] = jnp.ones(shape)
    with pytest.raises(ValueError, match=r"candidate: .*params/w"):
        search.step(state, other)


def test_a_candidate_of_another_network_is_refused_by_the_leafs_name():
    state = search.init(random_ticket(5))
    other = variables_of(GOAL)
    del other["params"]["bias"]
    with pytest.raises(ValueError, match=r"candidate: .*params/bias"):
        search.step(state, other)


def test_a_mask_that_does_not_fit_its_ticket_is_refused():
    ticket = random_ticket(5)
    ticket.mask["params"]["w"] = jnp.ones((1, 4), bool)
    with pytest.raises(ValueError, match=r"mask: .*params/w"):
        search.init(ticket)


def test_a_ticket_may_have_scalars_where_nothing_is_pruned_as_it_has_on_disk():
    ticket = random_ticket(5)
    stored = jax.tree.map(np.asarray, ticket)
    stored.mask["params"]["bias"] = np.True_
    stored.mask["batch_stats"]["mean"] = np.True_
    candidate = random_ticket(9, 1).params
    there, back = (search.step(search.init(given), candidate)[0] for given in (stored, ticket))
    assert_equal(search.ticket(there), search.ticket(back))


def cast(tree, dtype):
    return jax.tree.map(lambda leaf: leaf.astype(dtype), tree)


@pytest.mark.slow
def test_an_anchor_keeps_its_dtype_whatever_the_candidates_have():
    anchor = random_ticket(6)
    anchor = Ticket(cast(anchor.params, jnp.bfloat16), anchor.mask)
    full = pool(lambda variables: -jnp.sum((variables["params"]["w"].astype(jnp.float32) - GOAL) ** 2), accept="always")
    state = full.init(anchor)
    for seed, dtype in ((1, jnp.float32), (2, jnp.bfloat16), (3, jnp.float16)):
        state, trial = full.step(state, cast(random_ticket(9, seed).params, dtype))
        assert trial.values.dtype == jnp.float32
    ticket = full.ticket(state)
    assert all(leaf.dtype == jnp.bfloat16 for leaf in jax.tree.leaves(ticket.params))
    assert int(kept(ticket.mask)) == 6


def test_what_is_prunable_may_be_said():
    everything = pool(evaluate, accept="always", coefficients=(1.0,), prunable=all_leaves)
    ticket = random_ticket(5)
    state = everything.init(ticket)
    assert int(state.kept) == 5 + 3 + 2
    state, _ = everything.step(state, random_ticket(9, 1).params)
    assert int(kept(state.mask, all_leaves)) == 10
