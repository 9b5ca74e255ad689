"""Which leaves are pruned: kernels of every library's layers, by default, and nothing else."""

import dataclasses
import functools
from typing import Any, NamedTuple

import equinox
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

from lpjax.sparsity import (
    all_leaves,
    by_path,
    convolution_kernels,
    full_mask,
    kept,
    kernels,
    leaf_name,
    prunable_leaves,
    stacked_axes,
    total,
)
from lpjax.transforms import get_mask, static_sparse


class Layer(NamedTuple):
    kernel: jax.Array
    bias: jax.Array


NESTED = {
    "conv": {"kernel": jnp.ones((3, 3, 1, 4)), "bias": jnp.ones(4)},
    "head": {"kernel": jnp.ones((4, 2)), "bias": jnp.ones(2)},
    "temperature": jnp.ones(()),
}


def names_of(params):
    return [leaf_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]


def pruned_names(params, prunable=kernels):
    chosen = prunable_leaves(params, prunable)
    return [name for name, counted in zip(names_of(params), chosen, strict=True) if counted]


def zeros(**shapes):
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize(
    ("prunable", "names"),
    [
        (convolution_kernels, ["conv/kernel"]),
        (kernels, ["conv/kernel", "head/kernel"]),
        (by_path("^head/"), ["head/bias", "head/kernel"]),
        (by_path("kernel$"), ["conv/kernel", "head/kernel"]),
        (by_path(""), ["conv/bias", "conv/kernel", "head/bias", "head/kernel"]),
        (all_leaves, ["conv/bias", "conv/kernel", "head/bias", "head/kernel"]),
        (jax.tree.map(lambda leaf: leaf.ndim == 1, NESTED), ["conv/bias", "head/bias"]),
    ],
)
def test_predicates_see_paths_and_shapes(prunable, names):
    assert pruned_names(NESTED, prunable) == names
    assert pruned_names(full_mask(NESTED), prunable) == names


def test_lists_named_tuples_and_tuples_have_paths_too():
    params = [Layer(jnp.ones((2, 2)), jnp.ones(2)), (jnp.ones((2, 3)), jnp.ones(3))]
    assert names_of(params) == ["0/kernel", "0/bias", "1/0", "1/1"]
    assert total(params) == 10
    assert pruned_names(params, by_path("^1/0$")) == ["1/0"]


def test_an_error_lists_paths_and_shapes_when_nothing_matches():
    with pytest.raises(ValueError, match=r"prunable: .*conv/bias \(4,\).*conv/kernel \(3, 3, 1, 4\)"):
        prunable_leaves(NESTED, by_path("^l1/"))


def test_an_expression_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"pattern: .*'\*kernel'"):
        by_path("*kernel")


class Block(linen.Module):
    @linen.compact
    def __call__(self, tokens, _):
        attended = linen.MultiHeadDotProductAttention(num_heads=4)(linen.LayerNorm()(tokens))
        hidden = linen.Dense(32)(linen.RMSNorm()(tokens + attended))
        return tokens + linen.Dense(16)(hidden), None


class Linen(linen.Module):
    @linen.compact
    def __call__(self, words, images):
        tokens = linen.Embed(50, 16)(words)
        tokens = tokens + self.param("pos_embedding", linen.initializers.zeros, (1, 7, 16))
        features = linen.Conv(8, (3, 3))(images)
        features = linen.BatchNorm(use_running_average=False)(features)
        features = linen.GroupNorm(4)(features)
        stack = linen.scan(Block, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)
        tokens, _ = stack(name="blocks")(tokens, None)
        return linen.Dense(10)(tokens), features


ATTENTION = [f"MultiHeadDotProductAttention_0/{name}/kernel" for name in ("key", "out", "query", "value")]


def linen_variables():
    return jax.eval_shape(Linen().init, jax.random.key(0), jnp.zeros((2, 7), jnp.int32), jnp.zeros((2, 8, 8, 3)))


def test_of_linen_kernels_alone_are_pruned_inside_and_outside_a_scan():
    blocks = [f"blocks/{name}" for name in ("Dense_0/kernel", "Dense_1/kernel", *ATTENTION)]
    expected = ["Conv_0/kernel", "Dense_0/kernel", *blocks]
    variables = linen_variables()
    assert pruned_names(variables["params"]) == expected
    assert pruned_names(variables) == [f"params/{name}" for name in expected]


def test_a_pattern_finds_the_same_leaves_in_parameters_and_in_all_variables_and_never_statistics():
    variables = linen_variables()
    assert pruned_names(variables["params"], by_path("^Conv_0/")) == ["Conv_0/bias", "Conv_0/kernel"]
    assert pruned_names(variables, by_path("^Conv_0/")) == ["params/Conv_0/bias", "params/Conv_0/kernel"]
    norms = ["params/BatchNorm_0/bias", "params/BatchNorm_0/scale"]
    assert pruned_names(variables, by_path("BatchNorm_0")) == norms
    assert not any(name.startswith("batch_stats") for name in pruned_names(variables, by_path("")))


class Nnx(nnx.Module):
    def __init__(self, rngs):
        self.embed = nnx.Embed(50, 16, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(4, 16, decode=False, rngs=rngs)
        self.norm = nnx.LayerNorm(16, rngs=rngs)
        self.batch = nnx.BatchNorm(16, rngs=rngs)
        self.conv = nnx.Conv(3, 8, (3, 3), rngs=rngs)
        self.head = nnx.Linear(16, 4, rngs=rngs)

    def logits(self, hidden):
        return self.embed.attend(hidden)  # tied: the embedding is the classifier too


def test_of_nnx_kernels_alone_are_pruned_by_paths_without_value():
    module = nnx.eval_shape(lambda: Nnx(nnx.Rngs(0)))
    attention = [f"attention/{name}/kernel" for name in ("key", "out", "query", "value")]
    expected = [*attention, "conv/kernel", "head/kernel"]
    for state in (nnx.state(module, nnx.Param), nnx.state(module), nnx.to_pure_dict(nnx.state(module, nnx.Param))):
        assert pruned_names(state) == expected
        assert pruned_names(state, by_path("^conv/kernel$")) == ["conv/kernel"]


def test_the_value_in_which_nnx_keeps_an_array_is_no_part_of_a_path_and_a_layer_called_value_is():
    key, attribute = jax.tree_util.DictKey, jax.tree_util.GetAttrKey
    assert leaf_name((key("attention"), key("value"), key("kernel"), attribute("value"))) == "attention/value/kernel"
    assert leaf_name((key("attention"), key("value"))) == "attention/value"
    assert leaf_name((attribute("value"),)) == "value"


VIT = {
    "cls": (1, 1, 16),
    "class_token": (1, 1, 16),
    "register_tokens": (1, 4, 16),
    "pos_embedding": (1, 17, 16),
    "pos": (17, 16),
    "patch_embed_positions": (17, 16),
    "encoder_offset": (1, 17, 16),
    "absolute": (1, 17, 16),
    "patches": (4, 4, 3, 16),
    "wq": (16, 4, 4),
    "bq": (16,),
    "mlp_in": (16, 64),
    "mlp_out": (64, 16),
    "ln_scale": (2, 16),
    "head_bias": (2, 16),
    "b_in": (2, 64),
    "gamma_1": (2, 16),
    "temperature": (),
}


def test_of_a_plain_transformer_class_tokens_positions_and_vectors_of_layers_are_never_pruned():
    assert pruned_names(zeros(**VIT)) == ["mlp_in", "mlp_out", "patches", "wq"]


@functools.partial(jax.tree_util.register_dataclass, data_fields=["weight", "bias"], meta_fields=["name"])
@dataclasses.dataclass
class Linear:
    """A layer as Equinox has it: its parameters are attributes, and some are absent."""

    weight: Any
    bias: Any
    name: str


@functools.partial(jax.tree_util.register_dataclass, data_fields=["embedding", "norm", "layers"], meta_fields=[])
@dataclasses.dataclass
class Network:
    embedding: Any
    norm: Any
    layers: Any


def test_of_dataclasses_weights_are_pruned_and_neither_biases_nor_norms_nor_embeddings():
    array = np.zeros
    module = Network(
        embedding=Linear(array((50, 8)), None, "embedding"),
        norm=Linear(array((8, 8)), array((8, 8)), "layer norm"),
        layers=[
            Linear(array((8, 3, 3, 3)), array((8, 1, 1)), "conv"),
            Linear(array((4, 8)), array(4), "linear"),
        ],
    )
    assert pruned_names(module) == ["layers/0/weight", "layers/1/weight"]


def equinox_modules():
    key = jax.random.key(0)
    return {
        "attention": equinox.nn.MultiheadAttention(4, 16, use_query_bias=True, key=key),
        "blocks": equinox.filter_vmap(lambda key: equinox.nn.Linear(8, 8, key=key))(jax.random.split(key, 3)),
        "conv": equinox.nn.Conv2d(3, 8, 3, key=key),
        "embedding": equinox.nn.Embedding(50, 16, key=key),
        "gru": equinox.nn.GRUCell(16, 8, key=key),
        "norm": equinox.nn.LayerNorm((3, 16)),
        "group": equinox.nn.GroupNorm(4, 16),
    }


def test_of_equinox_weights_are_pruned_and_neither_biases_nor_norms_nor_embeddings():
    modules = equinox.filter(equinox.filter_eval_shape(equinox_modules), lambda leaf: hasattr(leaf, "shape"))
    attention = [f"attention/{name}_proj/weight" for name in ("query", "key", "value", "output")]
    expected = [*attention, "blocks/weight", "conv/weight", "gru/weight_ih", "gru/weight_hh"]
    assert pruned_names(modules) == expected


def test_both_factors_of_an_adapter_are_pruned_alike():
    assert pruned_names({"lora": zeros(lora_a=(16, 2), lora_b=(2, 16))}) == ["lora/lora_a", "lora/lora_b"]


@pytest.mark.slow
def test_one_default_serves_every_function_and_every_transform():
    shapes = {"norm": {"scale": (4, 16)}, "dense": {"kernel": (4, 6), "bias": (4, 6)}, "cls": (1, 1, 8)}
    params = jax.tree.map(jnp.ones, shapes, is_leaf=lambda node: isinstance(node, tuple))
    state = static_sparse(optax.sgd(0.1), 0.5).init(params)
    mask = get_mask(state)
    assert jax.tree.map(lambda m: int(m.sum()), mask) == {
        "norm": {"scale": 64},
        "dense": {"kernel": 12, "bias": 24},
        "cls": 8,
    }
    assert (int(kept(mask)), total(params)) == (12, 24)


def test_stacked_axes_come_from_a_predicate_a_tree_or_are_none():
    assert stacked_axes(NESTED, None) == [0, 0, 0, 0, 0]
    assert stacked_axes(NESTED, lambda path, leaf: path.startswith("conv/k")) == [0, 1, 0, 0, 0]
    tree = {"conv": {"kernel": 2, "bias": 0}, "head": {"kernel": 1, "bias": 0}, "temperature": 0}
    assert stacked_axes(NESTED, tree) == [0, 2, 0, 1, 0]


@pytest.mark.parametrize(
    ("stacked", "name"), [(lambda path, leaf: 2, "conv/bias"), ({"conv": {"kernel": 1}}, "stacked")]
)
def test_axes_that_a_tree_does_not_have_are_refused(stacked, name):
    with pytest.raises(ValueError, match=rf"stacked: .*{name}|{name}: "):
        stacked_axes(NESTED, stacked)
