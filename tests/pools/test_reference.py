"""The authors' search, to be checked against a log of theirs number by number."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lpjax.pools import float_count, pool, reference
from lpjax.tickets import torch_rule
from lpjax.types import Ticket

KEY = jax.random.key(0)


@pytest.mark.parametrize(
    ("total", "levels_one_short"),
    [
        (11_159_232, [2, 3, 5, 6, 9, 10, 13, 14, 15]),  # ResNet-18
        (14_710_464, [5, 10, 11, 12, 13, 15, 16, 17, 18]),  # VGG-16
        (267_696, [1, 2, 6, 7, 8, 12, 14, 15, 18]),  # ResNet-20
    ],
)
def test_the_float_loses_one_weight_at_the_levels_where_theirs_does(total, levels_one_short):
    kept, short = total, []
    for level in range(19):
        assert float_count(kept, total) in (kept, kept - 1)
        if float_count(kept, total) < kept:
            short.append(level)
        kept = torch_rule(kept, 0.2)
    assert short == levels_one_short


def test_the_dense_network_is_not_pruned():
    assert float_count(267_696, 267_696) == 267_696


def value_of(params):
    return -jnp.sum((params["w"] - jnp.array([1.0, 0.5, 0.25, 0.0])) ** 2)


def keep(params, key):
    del key
    return params


def ticket_of(*weights):
    w = jnp.array([weights], jnp.float32)
    return Ticket({"w": w}, {"w": w != 0})


def test_a_mix_no_better_than_the_given_start_is_rejected():
    anchor, same = ticket_of(0.9, 0.4, 0, 0), ticket_of(0.9, 0.4, 0, 0)
    value = float(value_of(anchor.params))
    strict = reference(value_of, keep, coefficients=(0.5,))
    _, trial = strict.step(strict.init(anchor, KEY, value), same.params)
    assert not trial.accepted
    lenient = pool(value_of, keep, coefficients=(0.5,))
    _, trial = lenient.step(lenient.init(anchor, KEY, value), same.params)
    assert trial.accepted
    _, trial = strict.step(strict.init(anchor, KEY, value - 1), same.params)
    assert trial.accepted


@pytest.mark.slow
def test_the_pool_is_pruned_to_the_float_count():
    total = 267_696  # of ResNet-20; its first level falls one short
    weights = np.zeros((1, total), np.float32)
    weights[0, :214_157] = np.random.default_rng(0).normal(size=214_157)
    ticket = Ticket({"w": jnp.asarray(weights)}, {"w": jnp.asarray(weights != 0)})
    search = reference(lambda params: jnp.sum(params["w"]), keep, coefficients=(0.5,))
    state, _ = search.step(search.init(ticket, KEY, -1e9), ticket.params)
    assert int(jnp.count_nonzero(search.ticket(state).mask["w"])) == 214_156


def test_a_search_without_a_start_is_refused():
    with pytest.raises(ValueError, match=r"^value: "):
        reference(value_of, keep).init(ticket_of(1, 0, 0, 0), KEY)
