"""The networks have the originals' sizes and initial weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lpjax import models, sparsity
from lpjax.types import Variables

TABLE = [  # name, classes, parameters, prunable convolution weights, convolutions, BatchNorm parameters
    ("resnet18", 10, 11_173_962, 11_159_232, 20, 9_600),
    ("resnet18", 100, 11_220_132, 11_159_232, 20, 9_600),
    ("vgg16", 10, 14_728_266, 14_710_464, 13, 8_448),
    ("vgg16", 100, 14_774_436, 14_710_464, 13, 8_448),
    ("resnet20", 10, 269_722, 267_696, 19, 1_376),
    ("resnet20", 100, 275_572, 267_696, 19, 1_376),
    ("resnet44", 10, 658_586, 654_768, 43, None),
    ("resnet44", 100, 664_436, 654_768, 43, None),
    ("resnet56", 10, 853_018, 848_304, 55, None),
    ("resnet56", 100, 858_868, 848_304, 55, None),
    ("resnet50", 10, 23_520_842, 23_447_232, 53, 53_120),
    ("resnet50", 100, 23_705_252, 23_447_232, 53, 53_120),
    ("imagenet_resnet18", 1000, 11_689_512, 11_166_912, 20, 9_600),
    ("imagenet_resnet34", 1000, 21_797_672, 21_267_648, 36, 17_024),
    ("imagenet_resnet50", 1000, 25_557_032, 23_454_912, 53, 53_120),
    ("suptickets_vgg16", 10, 14_991_946, 14_710_464, 13, 9_472),
    ("suptickets_resnet50", 10, 23_520_832, 23_447_232, 53, 53_120),
    ("wide_resnet28_10", 10, 36_479_194, 36_454_832, 28, 17_952),
]
KERNELS = [  # name, classes, weights of kernels, kernels
    ("suptickets_vgg16", 10, 14_977_728, 15),
    ("suptickets_vgg16", 100, 15_023_808, 15),
    ("suptickets_resnet50", 10, 23_467_712, 54),
    ("suptickets_resnet50", 100, 23_652_032, 54),
    ("wide_resnet28_10", 10, 36_461_232, 29),
    ("wide_resnet28_10", 100, 36_518_832, 29),
    ("imagenet_resnet50", 1000, 25_502_912, 54),
]


SMALL = [
    ("resnet8", {"width": 4}),
    ("suptickets_vgg16", {"layers": (8, "M", 16, "M"), "hidden": 16}),
    ("wide_resnet28_10", {"depth": 10, "widen": 1}),
]


def shapes(name, classes, **options):
    module = models.build(name, classes=classes, **options)
    return jax.eval_shape(lambda key: models.initialize(module, key, (64, 64, 3)), jax.random.key(0))


@pytest.mark.parametrize(("name", "classes", "parameters", "prunable", "convolutions", "affine"), TABLE)
def test_sizes_are_those_of_the_originals(name, classes, parameters, prunable, convolutions, affine):
    variables = shapes(name, classes)
    leaves = {sparsity.leaf_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(variables.params)}
    assert sum(leaf.size for leaf in leaves.values()) == parameters
    assert sum(leaf.size for leaf in leaves.values() if leaf.ndim == 4) == prunable
    assert sum(leaf.ndim == 4 for leaf in leaves.values()) == convolutions
    norms = [path.rsplit("/", 1)[0] for path in leaves if path.endswith("/scale")]
    if affine is not None:
        assert sum(leaves[f"{norm}/{part}"].size for norm in norms for part in ("scale", "bias")) == affine


@pytest.mark.slow
@pytest.mark.parametrize(("name", "classes", "weights", "kernels"), KERNELS)
def test_sparse_training_prunes_every_kernel(name, classes, weights, kernels):
    params = shapes(name, classes).params
    pruned = [path for path, leaf in sparsity.named_leaves(params).items() if sparsity.kernels(path, leaf)]
    assert (sparsity.total(params, sparsity.kernels), len(pruned)) == (weights, kernels)


def test_openlth_prunes_the_classifier_too():
    assert sparsity.total(shapes("imagenet_resnet18", 1000).params, sparsity.kernels) == 11_678_912
    assert sparsity.total(shapes("imagenet_resnet34", 1000).params, sparsity.kernels) == 21_779_648


def test_width_scales_every_stage():
    params = shapes("resnet8", 10, width=8).params
    assert [params[f"layer{i}_0"]["conv2"]["kernel"].shape[-1] for i in (1, 2, 3)] == [8, 16, 32]


def initial(name, size=32, **options):
    module = models.build(name, classes=10, **options)
    return models.initialize(module, jax.random.key(0), (size, size, 3)).params


@pytest.mark.slow
def test_wide_networks_start_from_kaiming_fan_out():
    params = initial("resnet18")
    kernel = params["layer4_1"]["conv2"]["kernel"]
    assert np.std(kernel) == pytest.approx((2 / (9 * 512)) ** 0.5, rel=0.01)
    head = params["fc"]
    bound = 512**-0.5
    assert 0.95 * bound < np.abs(head["kernel"]).max() <= bound
    assert np.std(head["kernel"]) == pytest.approx(bound / 3**0.5, rel=0.05)
    assert 0 < np.abs(head["bias"]).max() <= bound


@pytest.mark.slow
def test_slim_networks_start_from_kaiming_fan_in():
    params = initial("resnet20")
    assert np.std(params["layer3_0"]["conv1"]["kernel"]) == pytest.approx((2 / (9 * 32)) ** 0.5, rel=0.03)
    assert np.std(params["fc"]["kernel"]) == pytest.approx((2 / 64) ** 0.5, rel=0.1)


def draws_of(leaf):
    """The range and the spread of a leaf, in units of U(-1, 1)."""
    return np.abs(leaf).max(), np.std(leaf) * 3**0.5


@pytest.mark.slow
@pytest.mark.slow
@pytest.mark.parametrize("name", ["suptickets_vgg16", "suptickets_resnet50"])
def test_networks_of_sparse_training_start_as_pytorch_layers_do(name):
    for path, leaf in jax.tree_util.tree_leaves_with_path(initial(name)):
        if leaf.size >= 4096:
            bound = np.prod(leaf.shape[:-1]) ** -0.5
            assert draws_of(leaf / bound) == pytest.approx((1, 1), abs=0.05), sparsity.leaf_name(path)


@pytest.mark.slow
def test_biases_beside_uniform_kernels_are_uniform_too():
    narrow = models.build("suptickets_vgg16", classes=100, layers=(64, 512, "M"), hidden=256)
    params = models.initialize(narrow, jax.random.key(0), (4, 4, 3)).params
    fans = {"features_3": 9 * 64, "classifier_0": 512, "classifier_3": 256}
    for name, fan_in in fans.items():
        assert draws_of(params[name]["bias"] * fan_in**0.5) == pytest.approx((1, 1), abs=0.1)


@pytest.mark.slow
def test_a_wide_network_starts_from_kaiming_fan_out_and_a_zero_bias():
    params = initial("wide_resnet28_10", depth=10, widen=4)
    assert np.std(params["block3_layer_0"]["conv1"]["kernel"]) == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.02)
    assert np.std(params["block3_layer_0"]["convShortcut"]["kernel"]) == pytest.approx((2 / 256) ** 0.5, rel=0.02)
    assert draws_of(params["fc"]["kernel"] * 256**0.5) == pytest.approx((1, 1), abs=0.05)
    assert not np.any(params["fc"]["bias"])


def test_depth_and_widening_make_the_wide_network():
    params = shapes("wide_resnet28_10", 10, depth=16, widen=2).params
    blocks = [name for name in params if name.startswith("block")]
    assert len(blocks) == 6
    assert [params[f"block{i}_layer_1"]["conv2"]["kernel"].shape[-1] for i in (1, 2, 3)] == [32, 64, 128]
    assert "convShortcut" not in shapes("wide_resnet28_10", 10, depth=10, widen=1).params["block1_layer_0"]
    with pytest.raises(ValueError, match="depth: got 12"):
        shapes("wide_resnet28_10", 10, depth=12)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["suptickets_vgg16", "suptickets_resnet50", "wide_resnet28_10"])
def test_every_convolution_is_padded_alike_on_all_sides(name):
    variables = shapes(name, 10)
    apply = models.bind(models.build(name, classes=10))
    program = jax.make_jaxpr(apply)(variables, jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32))
    convolutions = [equation for equation in program.eqns if equation.primitive.name == "conv_general_dilated"]
    assert len(convolutions) == sum(leaf.ndim == 4 for leaf in jax.tree.leaves(variables.params))
    for equation in convolutions:
        size = equation.invars[1].aval.shape[0]
        assert equation.params["padding"] == ((size // 2, size // 2),) * 2


@pytest.mark.slow
def test_vgg_starts_with_small_heads_and_zero_biases():
    params = initial("vgg16")
    assert np.std(params["classifier"]["kernel"]) == pytest.approx(0.01, rel=0.05)
    assert not np.any(params["classifier"]["bias"])
    assert not np.any(params["features_0"]["bias"])


@pytest.mark.slow
def test_openlth_networks_start_with_uniform_scales():
    scale = initial("imagenet_resnet18", 64)["bn1"]["scale"]
    assert 0 <= scale.min() < 0.2 < 0.8 < scale.max() <= 1


def test_an_unknown_model_or_option_gets_a_suggestion():
    with pytest.raises(ValueError, match=r"model 'vgg61'.*'vgg16'"):
        models.build("vgg61", classes=10)
    with pytest.raises(ValueError, match=r"option of resnet8 'widht'.*'width'"):
        models.build("resnet8", classes=10, widht=3)
    with pytest.raises(ValueError, match=r"dtype 'bflot16'.*'bfloat16'"):
        models.build("resnet8", classes=10, dtype="bflot16")


def test_vgg_refuses_images_its_pools_would_swallow():
    module = models.build("vgg16", classes=10)
    with pytest.raises(ValueError, match=r"images: got 8x8.*32x32"):
        models.initialize(module, jax.random.key(0), (8, 8, 3))


@pytest.fixture(scope="module")
def small():
    module = models.build("resnet8", classes=10, width=4)
    images = jax.random.normal(jax.random.key(1), (8, 8, 8, 1))
    return module, models.initialize(module, jax.random.key(0), (8, 8, 1)), images


@pytest.mark.slow
def test_training_returns_the_statistics_of_the_batch_alone(small):
    module, variables, images = small
    apply = models.bind(module)
    elsewhere = variables._replace(stats=jax.tree.map(lambda s: s + 7, variables.stats))
    (a, stats_a), (b, stats_b) = (apply(v, images, train=True) for v in (variables, elsewhere))
    np.testing.assert_array_equal(a, b)
    jax.tree.map(np.testing.assert_array_equal, stats_a, stats_b)


@pytest.mark.slow
def test_evaluation_leaves_statistics_alone(small):
    module, variables, images = small
    logits, stats = models.bind(module)(variables, images)
    assert stats is variables.stats
    assert logits.shape == (8, 10)


@pytest.mark.slow
def test_statistics_over_a_mapped_axis_are_the_global_batch_s(small):
    module, variables, images = small
    apply = models.bind(module)
    whole, stats = apply(variables, images, train=True)
    parts, mapped = jax.vmap(lambda x: apply(variables, x, train=True, axis_name="data"), axis_name="data")(
        images.reshape(4, 2, 8, 8, 1)
    )
    np.testing.assert_allclose(parts.reshape(8, 10), whole, atol=1e-4)
    jax.tree.map(lambda m, s: np.testing.assert_allclose(m[0], s, atol=1e-5), mapped, stats)


@pytest.mark.slow
def test_networks_can_be_stacked(small):
    module, variables, images = small
    apply = models.bind(module)
    twice = jax.tree.map(lambda x: jnp.stack([x, x]), variables)
    logits = jax.vmap(lambda v: apply(v, images)[0])(twice)
    np.testing.assert_allclose(logits[1], apply(variables, images)[0], atol=1e-5)


@jax.numpy_dtype_promotion("standard")  # Flax's BatchNorm mixes bfloat16 images and float32 statistics by itself
@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), SMALL)
def test_bfloat16_computes_low_and_keeps_high(name, options):
    module = models.build(name, classes=10, dtype="bfloat16", **options)
    variables = models.initialize(module, jax.random.key(0), (8, 8, 1))
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}
    images = jax.random.normal(jax.random.key(1), (8, 8, 8, 1))
    logits, stats = models.bind(module)(variables, images, train=True)
    assert logits.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(stats)} == {jnp.dtype("float32")}
    exact, _ = models.bind(models.build(name, classes=10, **options))(variables, images, train=True)
    assert 0 < np.abs(exact - logits).max() < 0.3


@pytest.mark.slow
def test_a_network_without_batch_norm_has_no_statistics():
    import flax.linen as nn

    class Plain(nn.Module):
        axis_name: str | None = None

        @nn.compact
        def __call__(self, x, train=False):
            return nn.Dense(3)(x.reshape(x.shape[0], -1))

    variables = models.initialize(Plain(), jax.random.key(0), (4, 4, 1))
    assert variables.stats == {}
    assert models.bind(Plain())(Variables(variables.params, {}), jnp.zeros((2, 4, 4, 1)), train=True)[1] == {}
