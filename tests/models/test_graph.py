"""The channel graphs of the registered networks hold, and the networks run at the widths that shrinking leaves."""

import collections

import jax
import numpy as np
import pytest

import lpjax
from lpjax import models, sparsity

NARROW = {name: {"width": 4} for name in models.NAMES}
NARROW["vgg16"] = {"layers": (4, "M", 6, 8, "M")}
NARROW["suptickets_vgg16"] = {"layers": (4, "M", 6, 8, "M"), "hidden": 6}
NARROW["wide_resnet28_10"] = {"depth": 16, "widen": 2}
ALSO = {"wide_resnet of width 1": ("wide_resnet28_10", {"depth": 10, "widen": 1})}
ALSO["bottlenecks without projection"] = ("resnet50", {"width": 4, "shortcut": ""})
NETWORKS = {name: (name, options) for name, options in NARROW.items()} | ALSO


def build(name, **changes):
    model, options = NETWORKS[name]
    module = models.build(model, classes=3, **options)
    return module.clone(**changes)


def shallow(name):
    """A network whose first stage has a block more, where the shapes do not change."""
    return build(name, **({"stages": (2, 1)} if hasattr(build(name), "stages") else {}))


def shapes(module):
    return jax.eval_shape(lambda key: models.initialize(module, key, (8, 8, 2)), jax.random.key(0))


def drawn(module):
    """Variables far from their initial values."""
    rng = np.random.default_rng(0)
    leaves = []
    like = shapes(module)
    for name, leaf in zip(sparsity.leaf_names(like), jax.tree.leaves(like), strict=True):
        if leaf.ndim > 1:
            value = rng.normal(size=leaf.shape) / np.prod(leaf.shape[:-1]) ** 0.5
        else:
            value = rng.uniform(*((0.5, 1.5) if name.endswith(("scale", "var")) else (-0.5, 0.5)), leaf.shape)
        leaves.append(value.astype(np.float32))
    return sparsity.as_tree(leaves, like)


def with_dead_channels(variables, graph):
    """A ticket with channels that have no incoming weights, and others that nothing reads."""
    rng = np.random.default_rng(1)
    leaves = {}
    for name, leaf in sparsity.named_leaves(variables).items():
        leaves[name] = leaf * (rng.random(leaf.shape) < 0.7) if leaf.ndim > 1 else leaf
    for group in graph.values():
        if group.prunable:
            for writer in group.writers:
                np.moveaxis(leaves[writer.kernel], writer.axis, 0)[:2] = 0
            for reader in group.readers:
                np.moveaxis(leaves[reader.leaf], reader.axis, 0)[2] = 0
    params = sparsity.as_tree([leaf.astype(np.float32) for leaf in leaves.values()], variables)
    return lpjax.Ticket(params, jax.tree.map(lambda leaf: (leaf != 0) | (leaf.ndim < 2), params))


def logits(module, variables, images):
    apply = models.bind(module)
    return np.asarray(jax.jit(lambda variables: apply(variables, images)[0])(variables))


def check(module):
    graph = models.channels(module)
    variables = drawn(module)
    images = jax.random.normal(jax.random.key(1), (2, 8, 8, 2))
    apply = models.bind(module)
    sparsity.check_channels(lambda v, x: apply(v, x)[0], variables, graph, images, jax.random.key(2))
    ticket = with_dead_channels(variables, graph)
    small = lpjax.shrink(ticket, graph)
    expected = logits(module, ticket.params, images)
    got = logits(module.clone(widths=small.widths), small.ticket.params, images)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    sizes = sparsity.channel_sizes(variables, graph)
    assert small.widths.keys() == {name for name, group in graph.items() if group.prunable}
    assert all(width < sizes[name] for name, width in small.widths.items())
    assert len(np.unique(expected, axis=0)) == 2  # the logits depend on the images


def test_a_small_resnet_runs_at_the_widths_that_shrinking_leaves():
    check(build("resnet8").clone(stages=(1, 1)))


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_runs_at_the_widths_that_shrinking_leaves(name):
    check(shallow(name))


@pytest.mark.parametrize("name", ["resnet8", *(pytest.param(n, marks=pytest.mark.slow) for n in NETWORKS)])
def test_every_axis_of_channels_is_in_the_graph_once(name):
    module = build(name)
    like = shapes(module)
    graph = models.channels(module)
    sparsity.channel_sizes(like, graph)
    covered = collections.defaultdict(list)
    for group in graph.values():
        for leaf, axis, positions in sparsity.channels.axes_of(group):
            size = sparsity.named_leaves(like)[leaf].shape[axis]
            covered[leaf, axis] += range(size) if positions is None else positions
    missing = []
    for leaf, shape in sparsity.named_leaves(like).items():
        for axis in range(max(shape.ndim - 2, 0), shape.ndim):
            if sorted(covered[leaf, axis]) != list(range(shape.shape[axis])):
                missing.append((leaf, axis))
    assert len(missing) == 1  # the channels of the images
    assert missing[0][1] == 2


def test_regular_widths_change_nothing():
    module = build("resnet8")
    graph = models.channels(module)
    sizes = sparsity.channel_sizes(shapes(module), graph)
    same = module.clone(widths={name: size for name, size in sizes.items() if graph[name].prunable})
    assert shapes(same) == shapes(module)


def test_a_network_that_is_not_known_has_no_graph():
    import flax.linen as nn

    with pytest.raises(TypeError, match=r"^module: got Dense"):
        models.channels(nn.Dense(3))


def test_stages_that_pad_share_their_channels():
    graph = models.channels(build("resnet8"))
    kernel = "params/layer3_0/conv2/kernel"
    found = {}
    for name, group in graph.items():
        for writer in group.writers:
            if writer.kernel == kernel:
                found[name] = writer.positions
    assert found == {
        "stream1": tuple(range(6, 10)),
        "stream2": (4, 5, 10, 11),
        "stream3": (0, 1, 2, 3, 12, 13, 14, 15),
    }
