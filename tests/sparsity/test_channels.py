"""Channel graphs: permuting, checking, and selecting whole channels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lpjax
from lpjax.sparsity import BatchNorm, ChannelGroup, channel_sizes, check_channels, permute_channels, select_channels

NORM = BatchNorm("norm/mean", "norm/var", "norm/scale", "norm/bias")
GRAPH = {
    "conv": ChannelGroup([("conv", 3, (NORM, jax.nn.relu))], [("dense", 0)]),
    "dense": ChannelGroup([("dense", 1, ("bias", jnp.tanh))], [("out", 0)]),
    "out": ChannelGroup([("out", 1)], prunable=False),
}


def variables():
    """A network as it is initialized: biases are zero, and scales are one."""
    rng = np.random.default_rng(0)
    shapes = {"conv": (3, 3, 2, 4), "dense": (16, 5), "out": (5, 3)}
    kernels = {name: jnp.asarray(rng.normal(size=shape), jnp.float32) for name, shape in shapes.items()}
    norm = {"mean": jnp.zeros(4), "var": jnp.ones(4), "scale": jnp.ones(4), "bias": jnp.zeros(4)}
    return {**kernels, "norm": norm, "bias": jnp.zeros(5)}


def network(tree, x):
    x = jax.lax.conv_general_dilated(x, tree["conv"], (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    norm = tree["norm"]
    x = (x - norm["mean"]) / jnp.sqrt(norm["var"] + 1e-5) * norm["scale"] + norm["bias"]
    x = jax.nn.relu(x).reshape(len(x), -1)
    return jnp.tanh(x @ tree["dense"] + tree["bias"]) @ tree["out"]


def check(graph):
    check_channels(network, variables(), graph, jax.random.normal(jax.random.key(1), (2, 4, 4, 2)), jax.random.key(0))


def without(graph, name, **changes):
    return {**graph, name: graph[name]._replace(**changes)}


def test_a_right_graph_passes():
    check(GRAPH)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("conv", {"writers": [("conv", 3, (NORM._replace(bias=None),))]}),
        ("conv", {"writers": [("conv", 3)]}),
        ("dense", {"writers": [("dense", 1)]}),
        ("dense", {"readers": [], "others": [], "writers": [("dense", 1, ("bias",))]}),
    ],
    ids=["no bias of the norm", "no norm", "no bias", "no reader"],
)
def test_a_graph_that_leaves_something_out_is_refused_by_the_name_of_the_group(name, changes):
    graph = without(GRAPH, name, **changes)
    if not graph[name].readers:
        graph[name] = graph[name]._replace(readers=[("conv", 0)])
    with pytest.raises(ValueError, match=rf"^graph: .*'{name}'"):
        check(graph)


def test_a_graph_that_reads_a_flattened_axis_the_wrong_way_is_refused():
    positions = tuple(range(4))  # the first position alone
    with pytest.raises(ValueError, match=r"^graph: permuting group 'conv'"):
        check(without(GRAPH, "conv", readers=[("dense", 0, positions)]))


def test_a_permutation_and_its_inverse_give_the_same_tree():
    tree = variables()
    permutation = jnp.array([2, 0, 3, 1])
    there = permute_channels(tree, GRAPH, {"conv": permutation})
    back = permute_channels(there, GRAPH, {"conv": jnp.argsort(permutation)})
    jax.tree.map(np.testing.assert_array_equal, back, tree)
    np.testing.assert_array_equal(there["conv"], tree["conv"][..., permutation])
    np.testing.assert_array_equal(there["dense"].reshape(4, 4, 5), tree["dense"].reshape(4, 4, 5)[:, permutation])


def test_channels_on_part_of_an_axis_are_permuted_there():
    graph = {"part": ChannelGroup([("w", 0, (), (1, 3))])}
    permuted = permute_channels({"w": jnp.arange(4)}, graph, {"part": jnp.array([1, 0])})
    assert permuted["w"].tolist() == [0, 3, 2, 1]


def by_sorting(totals, count):
    """The definition: the best of every group stays, and then the best of all, the earliest of ties dropped first."""
    names = sorted(totals)
    protected = {(name, max(range(len(totals[name])), key=lambda i: (totals[name][i], i))) for name in names}
    ranked = sorted(
        ((name, i) for name in names for i in range(len(totals[name]))),
        key=lambda channel: (channel in protected, totals[channel[0]][channel[1]], channel),
    )
    return set(ranked[-count:])


CHAIN = {
    "u": ChannelGroup([("u", 1)], [("v", 0)]),
    "v": ChannelGroup([("v", 1)], [("w", 0)]),
    "w": ChannelGroup([("w", 1)], prunable=False),
}
select_of_chain = jax.jit(lambda scores, mask, density: select_channels(scores, mask, CHAIN, density), static_argnums=2)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.05, 0.3, 0.5, 0.9, 1.0]))
def test_the_best_channels_stay_by_exact_count_and_one_of_every_group(seed, density):
    rng = np.random.default_rng(seed)
    params = {"u": rng.integers(-3, 3, (2, 6)), "v": rng.integers(-3, 3, (6, 4)), "w": rng.integers(-3, 3, (4, 2))}
    params = {name: jnp.asarray(leaf, jnp.float32) for name, leaf in params.items()}
    mask = select_of_chain(lpjax.magnitude(params), lpjax.full_mask(params), density)
    totals = {name: np.abs(np.asarray(params[name])).sum(0).tolist() for name in ("u", "v")}
    expected = by_sorting(totals, max(round(density * 10), 2))
    for name, reader in (("u", "v"), ("v", "w")):
        channels = np.array([(name, i) in expected for i in range(len(totals[name]))])
        np.testing.assert_array_equal(np.asarray(mask[name]).any(0), channels)
        np.testing.assert_array_equal(np.asarray(mask[reader]).any(1), channels)


def test_the_weights_of_a_channel_that_stays_all_stay():
    tree = variables()
    mask = select_channels(lpjax.magnitude(tree), lpjax.full_mask(tree), GRAPH, 0.5)
    conv = np.asarray(mask["conv"]).all((0, 1, 2))
    dense = np.asarray(mask["dense"])
    units = dense.any(0)
    assert conv.sum() + units.sum() == 4  # of 9
    np.testing.assert_array_equal(dense, np.tile(conv, 4)[:, None] & units)
    assert np.asarray(mask["bias"]).all()
    np.testing.assert_array_equal(np.asarray(mask["out"]), np.repeat(units[:, None], 3, axis=1))


def test_a_channel_that_the_mask_has_lost_does_not_come_back():
    params = {"u": jnp.array([[1.0, 9.0, 2.0, 3.0]]), "v": jnp.ones((4, 1))}
    graph = {"u": ChannelGroup([("u", 1)], [("v", 0)])}
    mask = lpjax.full_mask(params)
    mask["v"] = mask["v"].at[1].set(False)
    chosen = select_channels(lpjax.magnitude(params), mask, graph, 0.5)
    assert chosen["u"].tolist() == [[False, False, True, True]]


def test_axes_may_be_counted_from_the_end():
    rng = np.random.default_rng(0)
    params = {
        name: jnp.asarray(rng.normal(size=shape)) for name, shape in {"u": (2, 6), "v": (6, 4), "w": (4, 2)}.items()
    }
    backward = {
        "u": ChannelGroup([("u", -1)], [("v", -2)]),
        "v": ChannelGroup([("v", -1)], [("w", -2)]),
        "w": ChannelGroup([("w", -1)], prunable=False),
    }
    small = []
    for graph in (CHAIN, backward):
        mask = select_channels(lpjax.magnitude(params), lpjax.full_mask(params), graph, 0.4)
        small.append(lpjax.shrink(lpjax.Ticket(lpjax.apply_mask(params, mask), mask), graph))
    assert small[0].widths == small[1].widths
    jax.tree.map(np.testing.assert_array_equal, small[0].ticket, small[1].ticket)


def test_a_gated_unit_counts_the_weights_of_both_its_kernels_and_loses_both():
    params = {
        "gate": jnp.array([[1.0, 5.0, 2.0]]),
        "value": jnp.array([[4.0, 1.0, 2.0]]),
        "out": jnp.ones((3, 1)),
    }
    graph = {"units": ChannelGroup([("gate", 1), ("value", 1)], [("out", 0)], join=jnp.multiply)}
    mask = select_channels(lpjax.magnitude(params), lpjax.full_mask(params), graph, 0.67)
    for name in ("gate", "value"):
        assert mask[name].tolist() == [[True, True, False]]
    assert mask["out"].ravel().tolist() == [True, True, False]


def test_leaves_that_are_not_prunable_keep_all_they_have():
    tree = variables()
    mask = select_channels(
        lpjax.magnitude(tree), lpjax.full_mask(tree), GRAPH, 0.25, prunable=lpjax.convolution_kernels
    )
    assert np.asarray(mask["conv"]).any((0, 1, 2)).sum() == 1
    assert all(np.asarray(leaf).all() for name, leaf in mask.items() if name not in ("conv", "norm"))


def test_selection_is_compiled_and_shrinking_removes_what_it_left_out():
    tree = variables()
    mask = jax.jit(lambda tree: select_channels(lpjax.magnitude(tree), lpjax.full_mask(tree), GRAPH, 0.5))(tree)
    small = lpjax.shrink(lpjax.Ticket(lpjax.apply_mask(tree, mask), mask), GRAPH)
    assert sum(small.widths.values()) == 4
    x = jax.random.normal(jax.random.key(1), (2, 4, 4, 2))
    np.testing.assert_allclose(network(small.ticket.params, x), network(lpjax.apply_mask(tree, mask), x), atol=1e-5)


@pytest.mark.parametrize("density", [0, 1.5, -1])
def test_a_density_out_of_range_is_refused(density):
    with pytest.raises(ValueError, match=r"^density: got"):
        select_channels({"a": jnp.ones((1, 2))}, {"a": jnp.ones((1, 2), bool)}, {}, density)


def test_a_graph_without_prunable_groups_is_refused():
    tree = variables()
    with pytest.raises(ValueError, match=r"^graph: got no group"):
        select_channels(tree, lpjax.full_mask(tree), {"out": GRAPH["out"]}, 0.5)


def test_sizes_are_those_of_the_writers():
    assert channel_sizes(variables(), GRAPH) == {"conv": 4, "dense": 5, "out": 3}


def test_one_tuple_in_place_of_a_list_of_readers_is_refused():
    graph = {"hidden": ChannelGroup([("a", 1)], ("b", 0))}
    with pytest.raises(TypeError, match="readers"):
        channel_sizes({"a": np.zeros((1, 2)), "b": np.zeros((2, 1))}, graph)
