"""The sizes in results.csv are those of the smaller network."""

import jax
import jax.numpy as jnp
import pytest

import lpjax
from lpjax import models, run
from lpjax.run.evaluate import sizes, times
from lpjax.run.setup import network_flops

IMAGE = (8, 8, 3)


def flops_of(module, variables):
    return network_flops(models.bind(module), variables, IMAGE)


@pytest.mark.slow
def test_the_size_of_a_shrunk_ticket_is_that_of_the_network_with_its_widths():
    module = models.build("resnet8", classes=10, width=4).clone(stages=(1, 1))
    like = jax.eval_shape(lambda key: models.initialize(module, key, IMAGE), jax.random.key(0))
    variables = jax.tree.map(lambda leaf: jnp.arange(1.0, leaf.size + 1).reshape(leaf.shape), like)
    graph = models.channels(module)
    mask = lpjax.select_channels(lpjax.magnitude(variables), lpjax.full_mask(variables), graph, 0.5)
    ticket = lpjax.Ticket(lpjax.apply_mask(variables, mask), mask)
    measured = sizes(ticket, graph, flops_of(module, like))
    small = lpjax.shrink(ticket, graph)
    networks = {"": (module, ticket.params), "shrunk_": (module.clone(widths=small.widths), small.ticket.params)}
    for prefix, (network, params) in networks.items():
        flops = sum(jax.tree.leaves(flops_of(network, params)))
        assert measured[f"{prefix}flops"] == pytest.approx(flops)
        assert measured[f"{prefix}parameters"] == sum(leaf.size for leaf in jax.tree.leaves(params.params))
        assert measured[f"{prefix}bytes"] == 4 * sum(leaf.size for leaf in jax.tree.leaves(params))
    assert measured["shrunk_flops"] < measured["flops"]


@pytest.mark.slow
def test_the_time_of_a_batch_is_measured_where_it_is_asked_for(finished):
    network = run.load(finished, level=1)
    setup = network.setup._replace(config=network.setup.config.copy_and_resolve_references())
    setup.config.time_images = 8
    measured = times(setup, network.ticket)
    assert set(measured) == {"milliseconds", "shrunk_milliseconds"}
    assert 0 < min(measured.values()) <= max(measured.values()) < 60_000
