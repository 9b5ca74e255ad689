"""Tickets averaged into one: numbers worked out by hand, and what holds for any tickets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpjax.pools import KINDS, superpose
from lpjax.sparsity import assert_on_mask, full_mask, kept
from lpjax.types import Ticket


def sparse(*weights, bias=0.0, mean=0.0, var=1.0):
    """A ticket that has the weights that are not 0."""
    w = jnp.array([weights], jnp.float32)
    statistics = {"mean": jnp.array([mean], float), "var": jnp.array([var], float)}
    params = {"params": {"w": w, "bias": jnp.array([bias], float)}, "batch_stats": statistics}
    mask = full_mask(params)
    mask["params"]["w"] = w != 0
    return Ticket(params, mask)


def running(superposition, tickets):
    """The outcome after every ticket."""
    state = superposition.init(tickets[0])
    yield superposition.ticket(state)
    for ticket in tickets[1:]:
        state = superposition.step(state, ticket)
        yield superposition.ticket(state)


def outcome(superposition, tickets):
    return list(running(superposition, tickets))[-1]


def weights_of(ticket):
    return np.asarray(ticket.params["params"]["w"][0])


def unpruned(kind, tickets, **choices):
    """The averages before they are pruned, after every ticket."""
    superposition = superpose(kind, prune="end", **choices)
    state = superposition.init(tickets[0])
    averages = [weights_of(state)]
    for ticket in tickets[1:]:
        state = superposition.step(state, ticket)
        averages.append(weights_of(state))
    return averages


THREE = (sparse(1, 0, -2, 0.5, 0), sparse(0, 3, -4, 0.5, 0), sparse(2, 0, -3, 0, 0.9))


def test_cia_is_the_plain_mean_of_all():
    _, after_two, after_three = unpruned("cia", THREE)
    np.testing.assert_allclose(after_two, [0.5, 1.5, -3, 0.5, 0], rtol=1e-6)
    np.testing.assert_allclose(after_three, [1, 1, -3, 1 / 3, 0.3], rtol=1e-6)


def test_caa_is_the_mean_of_those_that_have_a_weight():
    _, after_two, after_three = unpruned("caa", THREE)
    np.testing.assert_allclose(after_two, [1, 3, -3, 0.5, 0], rtol=1e-6)
    np.testing.assert_allclose(after_three, [1.5, 3, -3, 0.5, 0.9], rtol=1e-6)


def test_caa_counts_masks_and_not_weights_that_happen_to_be_zero():
    first, second = sparse(2, 1), sparse(4, 1)
    grown = sparse(0, 1)._replace(mask=first.mask)
    np.testing.assert_array_equal(weights_of(outcome(superpose("caa"), [grown, second])), [2, 1])


def test_cima_weighs_the_average_so_far_by_the_decay_as_the_paper_does():
    _, after_two, after_three = unpruned("cima", THREE)
    np.testing.assert_allclose(after_two, [0.8, 0.6, -2.4, 0.5, 0], rtol=1e-6)
    np.testing.assert_allclose(after_three, [1.04, 0.48, -2.52, 0.4, 0.18], rtol=1e-6)


def test_the_authors_code_weighs_the_newest_ticket_by_the_decay():
    *_, theirs = unpruned("cima", THREE, decay=1 - 0.8)
    np.testing.assert_allclose(theirs, [1.64, 0.48, -3.12, 0.1, 0.72], rtol=1e-5)


@pytest.mark.parametrize(("decay", "shares"), [(0.8, (0.64, 0.16, 0.2)), (0.2, (0.04, 0.16, 0.8))])
def test_a_moving_average_gives_tickets_their_shares(decay, shares):
    tickets = [sparse(*row) for row in np.eye(3)]
    np.testing.assert_allclose(unpruned("cima", tickets, decay=decay)[-1], shares, rtol=1e-5)


CUT = (sparse(4, 3, 0, 0), sparse(5, 0, 2, 0), sparse(5, 0, 4, 0))


def test_pruned_at_every_step_what_is_cut_early_loses_what_it_had_gathered():
    _, after_two, after_three = map(weights_of, running(superpose("cia", prune="step"), CUT))
    np.testing.assert_allclose(after_two, [4.5, 1.5, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(after_three, [14 / 3, 0, 4 / 3, 0], rtol=1e-6)


def test_pruned_at_the_end_cia_is_the_mean_then_pruned():
    pruned = weights_of(outcome(superpose("cia", prune="end"), CUT))
    np.testing.assert_allclose(pruned, [14 / 3, 0, 2, 0], rtol=1e-6)


def test_the_network_before_the_cycles_is_averaged_only_if_it_is_handed_in():
    cycles = [sparse(2, 0), sparse(3, 0), sparse(4, 0)]
    np.testing.assert_allclose(weights_of(outcome(superpose("cia"), cycles)), [3, 0])
    theirs = [sparse(1, 1), *cycles]
    np.testing.assert_allclose(unpruned("cia", theirs), [[1, 1], [1.5, 0.5], [2, 1 / 3], [2.5, 0.25]], rtol=1e-6)


def two_layers(first, second, live):
    params = {"a": jnp.array([first], jnp.float32), "c": jnp.array([second], jnp.float32)}
    return Ticket(params, {name: jnp.array([live[name]], bool) for name in params})


HALF = {"a": (1, 1, 0, 0), "c": (1, 1, 0, 0)}
OTHER = {"a": (0, 0, 1, 1), "c": (0, 0, 1, 1)}


def mask_of_average(first, second, scope):
    """The mask of an average that equals the given weights, of two tickets that have half of them each."""
    tickets = []
    for live in (HALF, OTHER):
        halves = [2 * np.array(layer) * live[name] for layer, name in ((first, "a"), (second, "c"))]
        tickets.append(two_layers(*halves, live))
    mask = outcome(superpose("cia", scope=scope), tickets).mask
    return mask["a"][0].astype(int).tolist(), mask["c"][0].astype(int).tolist()


def test_an_average_is_pruned_over_all_layers_together_or_each_on_its_own():
    ties = (0.9, -0.05, 0.4, 0), (0.3, 0.2, -0.1, 0.6)
    for scope in ("global", "layerwise"):
        assert mask_of_average(*ties, scope) == ([1, 0, 1, 0], [1, 0, 0, 1])  # 0.3 is the cut and stays
    apart = (0.9, 0.8, 0.7, 0.6), (0.5, 0.4, 0.3, 0.2)
    assert mask_of_average(*apart, "global") == ([1, 1, 1, 1], [0, 0, 0, 0])
    assert mask_of_average(*apart, "layerwise") == ([1, 1, 0, 0], [1, 1, 0, 0])


def test_an_average_of_too_few_weights_keeps_what_there_is():
    first, second = sparse(0.5, 0, 0, 0.2, 0, 0), sparse(0.5, 0, 0, 0.2, 0, 0)
    state = superpose("cia").init(first)
    state = state._replace(kept=jax.tree.map(lambda n: jnp.where(n > 0, jnp.int32(4), n), state.kept))
    state = superpose("cia").step(state, second)
    mask = superpose("cia").ticket(state).mask["params"]["w"]
    assert mask.tolist() == [[True, False, False, True, False, False]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prune", ["step", "end"])
def test_statistics_and_biases_are_averaged_alike_and_never_pruned(kind, prune):
    tickets = [
        sparse(3, 0, bias=1, mean=1, var=2),
        sparse(2, 0, bias=3, mean=3, var=6),
        sparse(1, 0, bias=5, mean=5, var=1),
    ]
    average = outcome(superpose(kind, prune=prune, decay=0.5), tickets)
    shares = (0.25, 0.25, 0.5) if kind == "cima" else (1 / 3, 1 / 3, 1 / 3)
    np.testing.assert_allclose(average.params["params"]["bias"], [np.dot(shares, (1, 3, 5))], rtol=1e-6)
    np.testing.assert_allclose(average.params["batch_stats"]["mean"], [np.dot(shares, (1, 3, 5))], rtol=1e-6)
    np.testing.assert_allclose(average.params["batch_stats"]["var"], [np.dot(shares, (2, 6, 1))], rtol=1e-6)


def test_variances_are_averaged_neither_their_roots_nor_the_pooled_variance():
    average = outcome(superpose("cia"), [sparse(1, mean=0, var=1), sparse(1, mean=2, var=3)]).params["batch_stats"]
    assert (average["mean"].item(), average["var"].item()) == (1, 2)  # not 1.866, not 3


choices = st.builds(
    superpose,
    st.sampled_from(KINDS),
    decay=st.sampled_from((0.1, 0.5, 0.8)),
    prune=st.sampled_from(("step", "end")),
    scope=st.sampled_from(("global", "layerwise")),
)


def drawn(seed, tickets, count=7):
    draw = np.random.default_rng(seed)
    for _ in range(tickets):
        params = {"mean": jnp.asarray(draw.normal(size=3), jnp.float32)}
        mask = {"mean": jnp.ones(3, bool)}
        for name in "ac":
            live = np.zeros(12, bool)
            live[draw.choice(12, count, replace=False)] = True
            mask[name] = jnp.asarray(live.reshape(3, 4))
            params[name] = jnp.asarray(np.where(live, draw.normal(size=12), 0).reshape(3, 4), jnp.float32)
        yield Ticket(params, mask)


@pytest.mark.slow
@given(choices, st.integers(0, 2**16), st.integers(1, 5))
def test_equal_tickets_average_to_that_very_ticket(superposition, seed, times):
    (ticket,) = drawn(seed, 1)
    jax.tree.map(np.testing.assert_array_equal, outcome(superposition, [ticket] * times), ticket)


@pytest.mark.slow
@given(choices, st.integers(0, 2**16), st.integers(1, 5))
def test_an_average_has_the_first_tickets_count_and_is_zero_outside_its_mask(superposition, seed, tickets):
    for average in running(superposition, list(drawn(seed, tickets))):
        assert int(kept(average.mask)) == 14
        assert_on_mask(average.params, average.mask)


@pytest.mark.slow
@given(st.sampled_from(KINDS[:2]), st.integers(0, 2**16))
def test_means_pruned_at_the_end_do_not_depend_on_the_order(kind, seed):
    tickets = list(drawn(seed, 4))
    there, back = (outcome(superpose(kind, prune="end"), order) for order in (tickets, tickets[::-1]))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), there.params, back.params)


@given(st.integers(0, 2**16), st.sampled_from(("global", "layerwise")))
def test_caa_is_the_same_whenever_it_is_pruned(seed, scope):
    tickets = list(drawn(seed, 4))
    first, second = (outcome(superpose("caa", prune=prune, scope=scope), tickets) for prune in ("step", "end"))
    jax.tree.map(np.testing.assert_array_equal, first, second)


@pytest.mark.parametrize("kind", KINDS)
def test_compiled_it_gives_the_same(kind):
    superposition, (first, second) = superpose(kind), drawn(0, 2)
    plain = outcome(superposition, [first, second])
    state = jax.jit(superposition.step)(jax.jit(superposition.init)(first), second)
    compiled = jax.jit(superposition.ticket)(state)
    jax.tree.map(np.testing.assert_array_equal, plain.mask, compiled.mask)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), plain.params, compiled.params)


def test_tickets_from_disk_are_averaged_like_those_in_memory():
    first, second = drawn(1, 2)
    stored = [jax.tree.map(np.asarray, ticket) for ticket in (first, second)]
    jax.tree.map(
        np.testing.assert_array_equal, outcome(superpose("caa"), stored), outcome(superpose("caa"), [first, second])
    )


def changed(**leaves):
    ticket = sparse(1, 2)
    params = {name: leaf for name, leaf in {**ticket.params["params"], **leaves}.items() if leaf is not None}
    return ticket._replace(params={**ticket.params, "params": params})


@pytest.mark.parametrize(
    ("other", "field"),
    [
        (sparse(1, 2, 3), "ticket: .*params/w"),
        (changed(w=jnp.ones((1, 1))), "ticket: .*params/w"),
        (changed(bias=None), "ticket: .*params/bias"),
        (changed(scale=jnp.ones(2)), "ticket: .*params/scale"),
        (sparse(1, 2)._replace(mask=full_mask(changed(w=jnp.ones((1, 1))).params)), "mask: .*params/w"),
    ],
)
def test_a_ticket_of_another_network_is_refused_by_the_leafs_name(other, field):
    superposition = superpose("cia")
    with pytest.raises(ValueError, match=field):
        superposition.step(superposition.init(sparse(1, 2)), other)


@pytest.mark.parametrize(
    ("setting", "field"),
    [
        ({"kind": "cai"}, "superposition .*'cai'"),
        ({"decay": 1.5}, r"decay: got 1\.5"),
        ({"prune": "never"}, "prune .*'never'"),
        ({"scope": "local"}, "scope .*'local'"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(setting, field):
    with pytest.raises(ValueError, match=field):
        superpose(**setting)


@pytest.mark.parametrize("kind", KINDS)
def test_an_average_has_the_first_tickets_dtypes_and_accumulates_in_float32(kind):
    def cast(ticket, dtype):
        return ticket._replace(params={**jax.tree.map(lambda leaf: leaf.astype(dtype), ticket.params), "step": step})

    step = jnp.array(3, jnp.int32)
    first, *others = [ticket._replace(mask={**ticket.mask, "step": jnp.array(True)}) for ticket in drawn(0, 4)]
    superposition = superpose(kind, prune="end")
    state = superposition.init(cast(first, jnp.bfloat16))
    for ticket, dtype in zip(others, (jnp.float32, jnp.bfloat16, jnp.float16), strict=True):
        state = superposition.step(state, cast(ticket, dtype))
    assert state.params["a"].dtype == jnp.float32
    average = superposition.ticket(state).params
    assert average.pop("step").dtype == jnp.int32
    assert all(leaf.dtype == jnp.bfloat16 for leaf in jax.tree.leaves(average))


def test_many_equal_bfloat16_tickets_average_to_that_very_ticket():
    (ticket,) = drawn(3, 1)
    ticket = ticket._replace(params=jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), ticket.params))
    jax.tree.map(np.testing.assert_array_equal, outcome(superpose("cia"), [ticket] * 7), ticket)


def test_a_mask_may_have_scalars_where_nothing_is_pruned_as_it_has_on_disk():
    first, second = drawn(1, 2)
    stored = [ticket._replace(mask={**ticket.mask, "mean": np.True_}) for ticket in (first, second)]
    for kind in KINDS:
        there, back = (outcome(superpose(kind), tickets) for tickets in (stored, [first, second]))
        jax.tree.map(np.testing.assert_array_equal, there, back)
