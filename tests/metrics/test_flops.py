"""FLOPs are those that the papers state, and in whatever library a network is written."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from jax import lax

from lpjax import models, sparsity, transforms
from lpjax.metrics import inference_flops, layer_flops, training_flops


def of_model(name, classes, size=32, train=False):
    module = models.build(name, classes=classes)
    variables = jax.eval_shape(lambda key: models.initialize(module, key, (size, size, 3)), jax.random.key(0))
    apply = models.bind(module)

    def logits(params, images, stats):
        return apply(variables._replace(params=params, stats=stats), images, train=train)[0]

    images = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)
    return layer_flops(logits, variables.params, images, variables.stats), variables.params


def total(flops):
    return sum(jax.tree.leaves(flops))


@pytest.mark.parametrize(
    ("name", "classes", "size", "expected"),
    [
        ("suptickets_vgg16", 10, 32, 6.269e8),
        pytest.param("suptickets_resnet50", 100, 32, 2.596e9, marks=pytest.mark.slow),
        pytest.param("wide_resnet28_10", 100, 32, 1.0487e10, marks=pytest.mark.slow),
        pytest.param("imagenet_resnet50", 1000, 224, 8.18e9, marks=pytest.mark.slow),
    ],
)
def test_dense_networks_cost_what_the_papers_say(name, classes, size, expected):
    flops, params = of_model(name, classes, size)
    assert total(flops) == pytest.approx(expected, rel=3e-4)
    for count, leaf in zip(jax.tree.leaves(flops), jax.tree.leaves(params), strict=True):
        assert (count > 0) == (leaf.ndim > 1), "kernels cost, and nothing else"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "classes", "size", "shares"),
    [
        ("suptickets_vgg16", 100, 32, (0.4160, 0.2146, 0.1069)),
        ("suptickets_resnet50", 100, 32, (0.3851, 0.2247, 0.1136)),
        ("wide_resnet28_10", 100, 32, (0.3374, 0.1663, 0.0828)),
        ("imagenet_resnet50", 1000, 224, (0.4138, 0.2418, 0.1217)),
    ],
)
def test_layers_of_unequal_density_cost_what_the_papers_say(name, classes, size, shares):
    flops, params = of_model(name, classes, size)
    for density, share in zip((0.2, 0.1, 0.05), shares, strict=True):
        counts = sparsity.erk(params, density, prunable=sparsity.kernels)
        sparse = total(jax.tree.map(lambda f, p, n: f * n / p.size, flops, params, counts))
        assert sparse / total(flops) == pytest.approx(share, abs=6e-5)


def test_training_costs_the_same_forward():
    assert of_model("resnet8", 10, train=True)[0] == of_model("resnet8", 10)[0]


@pytest.mark.parametrize(("every", "share"), [(100, 0.24251), (4000, 0.24006)])
def test_growth_by_gradient_pays_for_dense_gradients_at_updates(every, share):
    got = training_flops("at updates", 0.24, 1.0, every)
    assert got / 3 == pytest.approx(share, abs=5e-6)
    assert got == pytest.approx((3 * 0.24 * every + 2 * 0.24 + 1) / (every + 1))
    assert training_flops("at updates", 0.24, 1.0) == pytest.approx(3 * 0.24)


@pytest.mark.parametrize(("sparse", "share"), [(0.42, 0.613), (0.24, 0.493)])
def test_an_average_of_dense_gradients_is_paid_for_in_every_step(sparse, share):
    assert training_flops("always", sparse, 1.0, every=400) / 3 == pytest.approx(share, abs=5e-4)


def test_training_that_stays_within_the_mask_pays_for_the_mask_alone():
    assert training_flops("never", 0.3, 1.0, every=100) == pytest.approx(0.9)
    with pytest.raises(ValueError, match=r"dense_gradient .*'never'"):
        training_flops("nver", 0.3, 1.0)


def test_every_method_says_when_it_needs_the_dense_gradient():
    kinds = {name: method.dense_gradient for name, method in transforms.METHODS.items()}
    assert kinds["snfs"] == "always"
    assert {kinds[name] for name in ("uniform", "erk", "snip", "set", "gmp", "dsr", "2:4")} == {"never"}
    assert {kinds[name] for name in ("rigl", "itop", "granet")} == {"at updates"}
    assert all(0.3 <= training_flops(kind, 0.3, 1.0) / 3 < 1 for kind in kinds.values())


@given(st.sampled_from(["never", "at updates", "always"]), st.floats(0, 1), st.integers(1, 10_000))
def test_sparse_training_never_costs_more_than_dense(kind, sparse, every):
    within = training_flops("never", sparse, 1.0)
    assert within - 1e-9 <= training_flops(kind, sparse, 1.0, every) <= training_flops("never", 1.0, 1.0) + 1e-9


def test_masks_scale_each_leaf_and_scalars_are_dense():
    mask = {"w": jnp.arange(12).reshape(3, 4) < 3, "v": jnp.ones((), bool)}
    assert inference_flops({"w": 120.0, "v": 7.0}, mask) == 37


# A network of one convolution and one linear layer, on images of 8x8x3.
KERNEL, HEAD = jnp.ones((3, 3, 3, 4)), jnp.ones((4, 5))
EXPECTED = [2 * KERNEL.size * 8 * 8, 2 * HEAD.size]


def convolve(x, kernel, stride=1, **options):
    dimensions = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, (stride, stride), "SAME", dimension_numbers=dimensions, **options)


def plain(params, x):
    kernel, head = params
    return convolve(x, kernel).mean((1, 2)) @ head


class Linen(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(5, name="head")(nn.relu(nn.Conv(4, (3, 3), name="kernel")(x)).mean((1, 2)))


class Nnx(nnx.Module):
    def __init__(self):
        rngs = nnx.Rngs(0)
        self.kernel, self.head = nnx.Conv(3, 4, (3, 3), rngs=rngs), nnx.Linear(4, 5, rngs=rngs)

    def __call__(self, x):
        return self.head(nnx.relu(self.kernel(x)).mean((1, 2)))


@pytest.mark.parametrize("batch", [1, 3, 16])
def test_the_batch_and_the_library_do_not_matter(batch):
    images = jnp.zeros((batch, 8, 8, 3))
    assert layer_flops(plain, [KERNEL, HEAD], images) == EXPECTED
    linen = Linen().init(jax.random.key(0), images)["params"]
    flops = layer_flops(lambda p, x: Linen().apply({"params": p}, x), linen, images)
    assert [flops["kernel"]["kernel"], flops["head"]["kernel"], flops["head"]["bias"]] == [*EXPECTED, 0]
    graph, state = nnx.split(Nnx())
    flops = layer_flops(lambda s, x: nnx.merge(graph, s)(x), state, images)
    assert sorted(jax.tree.leaves(flops)) == sorted([*EXPECTED, 0, 0])
    assert jax.tree.structure(flops) == jax.tree.structure(state)


def one_image(params, image):  # as Equinox writes networks: without a batch, the weight on the left
    kernel, head = params
    return head.T @ convolve(image[None], kernel)[0].mean((0, 1))


MASK = jnp.arange(KERNEL.size).reshape(KERNEL.shape) % 3 > 0


@jax.custom_vjp
def linear(x, w):
    return x @ w


linear.defvjp(lambda x, w: (x @ w, (x, w)), lambda kept, g: (g @ kept[1].T, kept[0].T @ g))

SAME = {
    "jit": jax.jit(plain),
    "checkpoint": jax.checkpoint(plain),
    "a vmap over images": lambda p, x: jax.vmap(one_image, in_axes=(None, 0))(p, x),
    "a multiplied mask": lambda p, x: plain((p[0] * MASK.astype(jnp.float32), p[1]), x),
    "a selecting mask": lambda p, x: plain((jnp.where(MASK, p[0], 0), p[1]), x),
    "low precision": lambda p, x: plain([w.astype(jnp.bfloat16) for w in p], x.astype(jnp.bfloat16)),
    "PyTorch's layout": lambda p, x: plain((p[0].transpose(3, 2, 0, 1).transpose(2, 3, 1, 0), p[1].reshape(-1, 5)), x),
    "standardized weights": lambda p, x: plain(((p[0] - p[0].mean((0, 1, 2))) / p[0].std((0, 1, 2)), p[1]), x),
    "a branch": lambda p, x: lax.cond(x.sum() > 0, lambda: plain(p, x), lambda: jnp.zeros((len(x), 5))),
    "a derivative of one's own": lambda p, x: linear(convolve(x, p[0]).mean((1, 2)), p[1]),
    "weights joined and cut": lambda p, x: plain((jnp.concatenate([p[0][..., :1], p[0][..., 1:]], -1), p[1]), x),
}


@pytest.mark.parametrize("how", SAME)
def test_parameters_are_followed_through(how):
    assert layer_flops(SAME[how], [KERNEL, HEAD], jnp.zeros((2, 8, 8, 3))) == EXPECTED


def test_a_scan_counts_each_of_its_turns():
    def shared(w, x):
        return lax.scan(lambda h, _: (jnp.tanh(h @ w), None), x, length=7)[0]

    def stacked(w, x):
        return lax.scan(lambda h, layer: (jnp.tanh(h @ layer), None), x, w)[0]

    def carried(w, x):
        return lax.fori_loop(0, 7, lambda _, c: (c[0], jnp.tanh(c[1] @ c[0])), (w, x))[1]

    one, images = 2 * 6 * 6, jnp.zeros((4, 6))
    assert layer_flops(shared, jnp.zeros((6, 6)), images) == 7 * one
    assert layer_flops(stacked, jnp.zeros((3, 6, 6)), images) == 3 * one
    assert layer_flops(carried, jnp.zeros((6, 6)), images) == 7 * one


def test_what_becomes_of_the_input_in_a_scan_is_no_parameter():
    def turns_into_features(w, x):  # the second carry is a parameter at first, and made of the images from then on
        return lax.scan(lambda c, _: ((c[0] @ w, c[0]), c[0] @ c[1]), (x, w), length=2)[0][0]

    assert layer_flops(turns_into_features, jnp.zeros((6, 6)), jnp.zeros((6, 6))) == 2 * 2 * 6 * 6


def test_groups_and_strides_make_convolutions_cheaper():
    def network(w, x):
        return convolve(x, w, stride=2, feature_group_count=3)

    assert layer_flops(network, jnp.zeros((3, 3, 1, 6)), jnp.zeros((2, 8, 8, 3))) == 2 * (3 * 3 * 1 * 6) * 4 * 4


def test_a_parameter_used_twice_costs_twice_and_one_unused_nothing():
    flops = layer_flops(
        lambda p, x: x @ p["w"] @ p["w"] + p["b"], {"w": jnp.eye(3), "b": jnp.ones(3)}, jnp.ones((1, 3))
    )
    assert flops == {"w": 2 * 2 * 9, "b": 0}


def test_what_meets_no_image_or_no_parameter_costs_no_leaf_anything():
    def low_rank(p, x):
        return x @ (p[0] @ p[1])

    assert layer_flops(low_rank, [jnp.eye(3), jnp.eye(3)], jnp.ones((2, 3))) == [0, 0]
    assert layer_flops(lambda w, x: (x * w) @ x.T, jnp.ones(3), jnp.ones((2, 3))) == 0


def test_what_cannot_be_counted_is_refused():
    def until(w, x):
        return lax.while_loop(lambda h: h.sum() < 1, lambda h: h @ w, x)

    with pytest.raises(ValueError, match=r"function: .*'while'"):
        layer_flops(until, jnp.eye(3), jnp.ones((2, 3)))
    for inputs in ((), (jnp.ones(()),)):
        with pytest.raises(ValueError, match="inputs: got no batch"):
            layer_flops(lambda w, *x: w, jnp.eye(3), *inputs)


def compiled_flops(function, *arguments):
    return jax.jit(function).lower(*arguments).compile().cost_analysis()["flops"]


def test_the_compiler_counts_alike_where_nothing_is_padded():
    def network(params, x):
        kernels, head = params
        for kernel in kernels:
            x = nn.relu(
                lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            )
        return x.mean((1, 2)) @ head

    params = [jnp.ones((3, 3, 3, 16)), jnp.ones((3, 3, 16, 32))], jnp.ones((32, 10))
    images = jnp.ones((4, 16, 16, 3))
    ours = 4 * total(layer_flops(network, params, images))
    assert ours == pytest.approx(compiled_flops(network, params, images), rel=0.01)  # it counts ReLU and the mean too


def test_the_compiler_leaves_out_products_with_padding():
    images, kernel = jnp.ones((1, 8, 8, 4)), jnp.ones((3, 3, 4, 8))
    ours = layer_flops(lambda w, x: convolve(x, w), kernel, images)
    inside = (8 * 3 - 2) / (8 * 3)  # of 8 places along an axis, the first and the last see one padded row each
    assert ours * inside**2 == pytest.approx(compiled_flops(convolve, images, kernel), rel=1e-3)
    assert math.isclose(ours, 2 * 8 * 8 * np.prod(kernel.shape))
