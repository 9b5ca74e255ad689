"""A shrunk network computes what the ticket computed, with fewer channels."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lpjax
from lpjax.sparsity import BatchNorm, ChannelGroup
from lpjax.types import Variables

ACTIVATIONS = {"relu": lambda x: np.maximum(x, 0), "tanh": np.tanh, "sigmoid": lambda x: 1 / (1 + np.exp(-x))}
activations = st.sampled_from(sorted(ACTIVATIONS))
sizes = st.integers(1, 6)
seeds = st.integers(0, 2**32 - 1)


def normal(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def plant(rng, kernel, axis, share=0.4):
    """Zeroes all weights of some channels."""
    kernel = kernel.copy()
    np.moveaxis(kernel, axis, 0)[rng.random(kernel.shape[axis]) < share] = 0
    return kernel


def ticket_of(params):
    return lpjax.Ticket(params, jax.tree.map(lambda leaf: leaf != 0 if leaf.ndim > 1 else leaf == leaf, params))


def assert_same(got, expected):
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * max(1.0, np.abs(expected).max()))


def mlp_params(rng, widths):
    params = {}
    for i, (n, m) in enumerate(itertools.pairwise(widths)):
        kernel = np.where(rng.random((n, m)) < 0.7, normal(rng, n, m), 0).astype(np.float32)
        if i:
            kernel = plant(rng, kernel, 0)
        if i < len(widths) - 2:
            kernel = plant(rng, kernel, 1)
        params[f"layer{i}"] = {"kernel": kernel, "bias": normal(rng, m)}
    return params


def mlp(params, x, activation):
    last = len(params) - 1
    for i in range(len(params)):
        x = x @ params[f"layer{i}"]["kernel"] + params[f"layer{i}"]["bias"]
        if i < last:
            x = ACTIVATIONS[activation](x)
    return x


def mlp_graph(layers, activation):
    graph = {}
    for i in range(layers):
        writer = (f"layer{i}/kernel", 1, (f"layer{i}/bias", ACTIVATIONS[activation]))
        if i < layers - 1:
            graph[f"layer{i}"] = ChannelGroup([writer], [(f"layer{i + 1}/kernel", 0)])
        else:
            graph[f"layer{i}"] = ChannelGroup([(f"layer{i}/kernel", 1, (f"layer{i}/bias",))], prunable=False)
    return graph


@given(seeds, st.lists(sizes, min_size=3, max_size=5), activations)
def test_a_shrunk_mlp_computes_the_same_and_has_no_dead_unit(seed, widths, activation):
    rng = np.random.default_rng(seed)
    params = mlp_params(rng, widths)
    x = normal(rng, 5, widths[0])
    graph = mlp_graph(len(params), activation)
    small = lpjax.shrink(ticket_of(params), graph)
    assert_same(mlp(small.ticket.params, x, activation), mlp(params, x, activation))
    for i, width in enumerate(small.widths.values()):
        incoming = small.ticket.params[f"layer{i}"]["kernel"]
        outgoing = small.ticket.params[f"layer{i + 1}"]["kernel"]
        assert incoming.shape[1] == outgoing.shape[0] == width
        alive = incoming.any(0) & outgoing.any(1)
        assert alive.all() or width == 1
    lpjax.assert_on_mask(small.ticket.params, small.ticket.mask)
    again = lpjax.shrink(small.ticket, graph)
    assert again.ticket is small.ticket
    assert again.widths == small.widths


def convolution(x, kernel, padding):
    size = kernel.shape[0]
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    return np.einsum("bhwcij,ijco->bhwo", windows, kernel)


def batch_norm(x, norm, stats):
    return (x - stats["mean"]) / np.sqrt(stats["var"] + 1e-3) * norm["scale"] + norm["bias"]


def cnn(variables, x, activation, size):
    """Two convolutions with padding, the first with BatchNorm, a max-pool, and two dense layers after a flatten."""
    params, stats = variables
    x = convolution(x.astype(np.float64), params["conv0"]["kernel"], size // 2)
    x = ACTIVATIONS[activation](batch_norm(x, params["norm0"], stats["norm0"]))
    x = convolution(x, params["conv1"]["kernel"], size // 2) + params["conv1"]["bias"]
    x = ACTIVATIONS[activation](x)
    x = x.reshape(len(x), 2, 2, 2, 2, -1).max((2, 4))
    x = ACTIVATIONS[activation](x.reshape(len(x), -1) @ params["dense"]["kernel"] + params["dense"]["bias"])
    return x @ params["head"]["kernel"]


def cnn_variables(rng, size, a, b, c):
    conv1 = np.where(rng.random((size, size, a, b)) < 0.5, normal(rng, size, size, a, b), 0).astype(np.float32)
    params = {
        "conv0": {"kernel": plant(rng, normal(rng, size, size, 2, a), 3)},
        "norm0": {"scale": normal(rng, a), "bias": normal(rng, a)},
        "conv1": {"kernel": plant(rng, plant(rng, conv1, 2, 0.2), 3), "bias": normal(rng, b)},
        "dense": {"kernel": plant(rng, normal(rng, 4 * b, c), 1), "bias": normal(rng, c)},
        "head": {"kernel": plant(rng, normal(rng, c, 3), 0)},
    }
    stats = {"norm0": {"mean": normal(rng, a), "var": rng.random(a).astype(np.float32)}}
    return Variables(params, stats)


def cnn_graph(activation):
    function = ACTIVATIONS[activation]
    norm = BatchNorm("stats/norm0/mean", "stats/norm0/var", "params/norm0/scale", "params/norm0/bias", 1e-3)
    return {
        "conv0": ChannelGroup([("params/conv0/kernel", 3, (norm, function))], [("params/conv1/kernel", 2)]),
        "conv1": ChannelGroup(
            [("params/conv1/kernel", 3, ("params/conv1/bias", function))], [("params/dense/kernel", 0)]
        ),
        "dense": ChannelGroup(
            [("params/dense/kernel", 1, ("params/dense/bias", function))], [("params/head/kernel", 0)]
        ),
        "head": ChannelGroup([("params/head/kernel", 1)], prunable=False),
    }


@given(seeds, st.sampled_from([1, 3]), sizes, sizes, sizes, activations)
def test_a_shrunk_cnn_computes_the_same_at_the_border_too(seed, size, a, b, c, activation):
    rng = np.random.default_rng(seed)
    variables = cnn_variables(rng, size, a, b, c)
    x = normal(rng, 3, 4, 4, 2)
    small = lpjax.shrink(ticket_of(variables), cnn_graph(activation))
    assert_same(cnn(small.ticket.params, x, activation, size), cnn(variables, x, activation, size))
    params = small.ticket.params.params
    kernel = params["conv0"]["kernel"]
    constants = kernel.shape[3] - kernel.any((0, 1, 2)).sum()
    assert constants <= 1  # at most one stands for all
    assert params["dense"]["kernel"].shape[0] == 4 * params["conv1"]["kernel"].shape[3]
    lpjax.assert_on_mask(small.ticket.params, small.ticket.mask)


def padded_cnn(bias):
    """Three channels of which two are constant, read by a 3x3 convolution."""
    rng = np.random.default_rng(0)
    params = {
        "conv0": {"kernel": normal(rng, 3, 3, 2, 3)},
        "norm0": {"scale": np.ones(3, np.float32), "bias": np.asarray(bias, np.float32)},
        "conv1": {"kernel": normal(rng, 3, 3, 3, 4), "bias": normal(rng, 4)},
        "dense": {"kernel": normal(rng, 16, 5), "bias": normal(rng, 5)},
        "head": {"kernel": normal(rng, 5, 3)},
    }
    params["conv0"]["kernel"][..., 1:] = 0
    params["conv1"]["kernel"][:, :, 1, :2] = 0
    params["conv1"]["kernel"][:, :, 2, 3:] = 0
    stats = {"norm0": {"mean": np.zeros(3, np.float32), "var": np.ones(3, np.float32)}}
    return Variables(params, stats), normal(rng, 2, 4, 4, 2)


def test_constants_behind_padding_become_one_channel():
    variables, x = padded_cnn(bias=[0.1, 0.7, 0.4])
    small = lpjax.shrink(ticket_of(variables), cnn_graph("relu"))
    assert small.widths == {"conv0": 2, "conv1": 4, "dense": 5}
    assert small.ticket.mask.params["conv1"]["kernel"].all()  # of the two, one or the other has every weight
    lpjax.assert_on_mask(small.ticket.params, small.ticket.mask)
    assert_same(cnn(small.ticket.params, x, "relu", 3), cnn(variables, x, "relu", 3))


def test_a_constant_of_zero_is_removed_behind_padding():
    variables, x = padded_cnn(bias=[0.1, -0.7, 0.0])
    small = lpjax.shrink(ticket_of(variables), cnn_graph("relu"))
    assert small.widths["conv0"] == 1
    assert_same(cnn(small.ticket.params, x, "relu", 3), cnn(variables, x, "relu", 3))


def test_a_constant_is_subtracted_from_the_mean_of_a_norm_behind_a_matrix_product():
    norm = BatchNorm("mean", "var")
    graph = {
        "hidden": ChannelGroup([("a", 1, ("bias", jnp.tanh))], [("b", 0)]),
        "next": ChannelGroup([("b", 1, (norm,))], [("c", 0)], prunable=False),
    }
    params = {"a": np.array([[0.0, 2.0]]), "b": np.array([[3.0], [1.0]]), "c": np.ones((1, 1))}
    params |= {"bias": np.array([0.5, 0.0]), "mean": np.array([1.0]), "var": np.ones(1)}
    small = lpjax.shrink(ticket_of(params), graph).ticket.params
    assert small["mean"] == pytest.approx(1 - 3 * np.tanh(0.5))
    assert small["b"].tolist() == [[1.0]]


def ones(*widths):
    return jax.tree.map(np.ones_like, mlp_params(np.random.default_rng(0), widths))


def test_a_unit_that_nothing_reads_is_removed_and_so_are_those_that_it_alone_reads():
    params = ones(3, 4, 4, 2)
    params["layer1"]["kernel"][2:, 1:] = 0  # unit 0 alone reads units 2 and 3
    params["layer2"]["kernel"][0] = 0  # and nothing reads unit 0
    small = lpjax.shrink(ticket_of(params), mlp_graph(3, "relu"))
    assert small.widths == {"layer0": 2, "layer1": 3}
    x = np.ones((1, 3))
    assert_same(mlp(small.ticket.params, x, "relu"), mlp(params, x, "relu"))


def test_a_layer_of_dead_units_keeps_one_that_needs_no_inputs():
    params = ones(3, 4, 4, 2)
    params["layer2"]["kernel"][:] = 0
    small = lpjax.shrink(ticket_of(params), mlp_graph(3, "relu"))
    assert small.widths == {"layer0": 1, "layer1": 1}
    assert not small.ticket.params["layer0"]["kernel"].any()
    assert_same(mlp(small.ticket.params, np.ones((1, 3)), "relu"), [[1.0, 1.0]])


def test_gated_units_are_dead_without_the_weights_of_both_branches():
    graph = {
        "hidden": ChannelGroup([("gate", 1, ["bias", jax.nn.sigmoid]), ("up", 1)], [("down", 0)], join=jnp.multiply)
    }
    params = {"gate": np.ones((2, 3)), "up": np.ones((2, 3)), "down": np.ones((3, 1)), "bias": np.ones(3)}
    params["gate"][:, :2] = 0
    params["up"][:, 1:2] = 0
    small = lpjax.shrink(ticket_of(params), graph)
    assert small.widths == {"hidden": 2}
    assert small.ticket.params["gate"].tolist() == [[0, 1], [0, 1]]


def test_a_ticket_with_nothing_to_remove_comes_back_as_it_is():
    params = ones(3, 4, 2)
    ticket = ticket_of(params)
    small = lpjax.shrink(ticket, mlp_graph(2, "tanh"))
    assert small.ticket is ticket
    assert small.widths == {"layer0": 4}


def test_leaves_keep_their_kind_and_dtype():
    params = jax.tree.map(
        lambda leaf: jnp.ones(leaf.shape, jnp.bfloat16), mlp_params(np.random.default_rng(0), [3, 4, 2])
    )
    params["layer0"]["kernel"] = params["layer0"]["kernel"].at[:, 1].set(0)
    graph = mlp_graph(2, "relu")
    graph["layer0"] = ChannelGroup([("layer0/kernel", 1, ("layer0/bias", jax.nn.gelu))], [("layer1/kernel", 0)])
    small = lpjax.shrink(lpjax.Ticket(params, lpjax.full_mask(params)), graph)
    assert small.widths == {"layer0": 3}
    for leaf in jax.tree.leaves(small.ticket.params):
        assert isinstance(leaf, jax.Array)
        assert leaf.dtype == jnp.bfloat16
    assert small.ticket.params["layer1"]["bias"].tolist() == [1.84375, 1.84375]  # 1 + gelu(1), rounded


def test_a_scalar_mask_may_stand_for_a_leaf_that_is_never_pruned():
    params = ones(3, 4, 2)
    params["layer0"]["kernel"][:, 0] = 0
    mask = {name: {"kernel": layer["kernel"] != 0, "bias": np.True_} for name, layer in params.items()}
    small = lpjax.shrink(lpjax.Ticket(params, mask), mlp_graph(2, "relu"))
    assert small.ticket.mask["layer0"]["bias"].shape == ()
    assert small.ticket.mask["layer0"]["kernel"].shape == (3, 3)


@pytest.mark.parametrize(
    ("group", "match"),
    [
        (ChannelGroup([("a", 1)], [("missing", 0)]), "'hidden' has 'missing'"),
        (ChannelGroup([("a", 1)], [("b", 5)]), "'hidden' has axis 5 of 'b'"),
        (ChannelGroup([("a", 0)], [("b", 0)]), "'hidden' has 2 channels by 'a'"),
        (ChannelGroup([], [("b", 0)]), "'hidden' has no writer"),
        (ChannelGroup([("a", 1, (), (0, 1, 2))], [("b", 0)]), "'hidden' lies on part of an axis"),
        (ChannelGroup([("square", 1)], [("square", 0)]), "'hidden' has a kernel that both writes and reads it"),
        (ChannelGroup([("a", 1)], [("b", 0)], [("b", 0)]), "'hidden' has axes among its others"),
        (ChannelGroup([("a", 1), ("a", 1)], [("b", 0)]), "'hidden' has several writers and no join"),
    ],
    ids=["missing leaf", "axis", "size", "no writer", "part of an axis", "recurrent", "others", "no join"],
)
def test_a_graph_that_does_not_fit_is_refused(group, match):
    params = {"a": np.ones((2, 3)), "b": np.ones((3, 1)), "square": np.ones((3, 3))}
    with pytest.raises(ValueError, match=f"^graph: group {match}"):
        lpjax.shrink(ticket_of(params), {"hidden": group})


def test_a_ticket_with_weights_outside_its_mask_is_refused():
    params = {"hidden": jnp.ones((1, 2)), "out": jnp.ones((2, 1))}
    graph = {"hidden": ChannelGroup([("hidden", 1)], [("out", 0)])}
    mask = {"hidden": jnp.array([[True, False]]), "out": jnp.ones((2, 1), bool)}
    with pytest.raises(ValueError, match="off the mask"):
        lpjax.shrink(lpjax.Ticket(params, mask), graph)
