"""So many of every few consecutive inputs are kept, exactly, whatever the shape."""

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lpjax.sparsity import all_leaves, kept, select_n_of_m, ungrouped

TIED = st.sampled_from([0.0, -0.0, 1.0, 2.0, -1.0, np.inf, -np.inf, 1e-40])
patterns = st.sampled_from([(1, 2), (2, 4), (1, 4), (4, 4), (3, 8)])
jitted = jax.jit(select_n_of_m, static_argnums=(2, 3))


def by_sorting(scores, mask, n):
    """The definition, for one group: of the kept, all but the last `n` of a stable ascending sort are dropped."""
    candidates = np.flatnonzero(mask)
    answer = np.zeros_like(mask)
    answer[candidates[np.argsort(scores[candidates], kind="stable")][-n:]] = True
    return answer


@pytest.mark.slow
@given(st.data(), patterns, st.integers(1, 3), st.integers(1, 3), st.sampled_from([np.float32, np.float16]))
@settings(deadline=None, max_examples=40)
def test_every_group_along_the_input_axis_is_cut_as_a_stable_sort_cuts_it(data, pattern, groups, outputs, dtype):
    n, m = pattern
    shape = (2, groups * m, outputs)
    width = np.finfo(dtype).bits
    scores = data.draw(hnp.arrays(dtype, shape, elements=st.floats(allow_nan=False, width=width) | TIED.map(dtype)))
    mask = data.draw(hnp.arrays(bool, shape))
    answer = np.asarray(jitted({"w": scores}, {"w": mask}, n, m)["w"])
    for k in range(2):
        for start in range(0, groups * m, m):
            for out in range(outputs):
                group = (k, slice(start, start + m), out)
                np.testing.assert_array_equal(answer[group], by_sorting(scores[group], mask[group], n))


def test_two_of_four_halve_convolutions_and_dense_layers():
    rng = np.random.default_rng(0)
    scores = {
        name: rng.normal(size=shape).astype(np.float32)
        for name, shape in {"conv": (3, 3, 8, 5), "dense": (12, 7)}.items()
    }
    answer = jitted(scores, {name: np.ones(s.shape, bool) for name, s in scores.items()}, 2, 4)
    assert (answer["conv"].reshape(3, 3, 2, 4, 5).sum(3) == 2).all()
    assert (answer["dense"].reshape(3, 4, 7).sum(1) == 2).all()


def test_an_input_axis_that_does_not_divide_keeps_all_it_has():
    shapes = {"stem": (3, 3, 3, 4), "depthwise": (3, 3, 1, 8), "vector": (8,)}
    rng = np.random.default_rng(1)
    scores = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    mask = {name: rng.random(shape) < 0.5 for name, shape in shapes.items()}
    answer = select_n_of_m(scores, mask, 2, 4, prunable=all_leaves)
    jax.tree.map(np.testing.assert_array_equal, answer, mask)
    assert ungrouped(mask, 4, prunable=all_leaves) == shapes
    assert ungrouped(mask, 4) == {name: shapes[name] for name in ("stem", "depthwise")}


def test_leaves_that_are_never_pruned_stay_as_they_are_and_their_scores_do_not_matter():
    mask = {"bias": jnp.array([True, False]), "scalar": jnp.array(True), "w": jnp.ones((4, 1), bool)}
    scores = {
        "bias": jnp.full(2, jnp.nan),
        "scalar": jnp.full(5, jnp.nan),
        "w": jnp.array([[3.0], [1.0], [2.0], [4.0]]),
    }
    answer = jitted(scores, mask, 2, 4)
    assert answer["bias"].tolist() == [True, False]
    assert answer["scalar"].shape == ()
    assert answer["w"].ravel().tolist() == [True, False, False, True]


def test_a_second_cut_changes_nothing_and_a_smaller_one_nests():
    scores = {"w": np.round(np.random.default_rng(2).normal(size=(16, 3))).astype(np.float32)}
    full = {"w": jnp.ones((16, 3), bool)}
    once = jitted(scores, full, 2, 4)
    np.testing.assert_array_equal(jitted(scores, once, 2, 4)["w"], once["w"])
    one = jitted(scores, once, 1, 4)
    np.testing.assert_array_equal(one["w"], jitted(scores, full, 1, 4)["w"])
    assert int(kept(one)) == 12


@pytest.mark.slow
def test_vmap_equals_a_loop():
    scores = np.round(np.random.default_rng(3).normal(size=(3, 8, 2))).astype(np.float32)
    together = jax.vmap(lambda s: select_n_of_m([s], [jnp.ones((8, 2), bool)])[0])(scores)
    for one, s in zip(together, scores, strict=True):
        np.testing.assert_array_equal(one, jitted([s], [jnp.ones((8, 2), bool)], 2, 4)[0])


@pytest.mark.slow
def test_float64_scores_that_float32_cannot_tell_apart_are_told_apart():
    with jax.enable_x64(True):
        scores = {"w": jnp.array([[1 + 4e-16], [1 + 2e-16], [1.0], [1.0]], jnp.float64)}
        answer = select_n_of_m(scores, {"w": jnp.ones((4, 1), bool)})
    assert answer["w"].ravel().tolist() == [True, True, False, False]


@pytest.mark.parametrize(("n", "m"), [(0, 4), (5, 4), (-1, 2)])
def test_a_choice_of_too_few_or_too_many_is_refused(n, m):
    with pytest.raises(ValueError, match=rf"^n, m: got {n} of {m}"):
        select_n_of_m({"w": jnp.ones((4, 1))}, {"w": jnp.ones((4, 1), bool)}, n, m)


LAYERS = {  # path: shape, axes of inputs
    "dense/kernel": ((8, 6), (0,)),
    "conv/kernel": ((3, 3, 8, 2), (2,)),
    "attention/query/kernel": ((8, 3, 5), (0,)),
    "attention/key/kernel": ((8, 3, 5), (0,)),
    "attention/value/kernel": ((8, 3, 5), (0,)),
    "attention/out/kernel": ((2, 6, 5), (0, 1)),
    "stack/attention/query/kernel": ((3, 8, 2, 3), (1,)),
    "stack/attention/out/kernel": ((3, 2, 2, 5), (1, 2)),
    "linear/weight": ((6, 8), (1,)),
    "convolution/weight": ((2, 8, 3, 3), (1,)),
}


@pytest.mark.slow
@pytest.mark.parametrize("path", LAYERS)
def test_groups_lie_along_the_inputs_of_every_kind_of_layer(path):
    shape, axes = LAYERS[path]
    scores = np.random.default_rng(4).permutation(np.prod(shape)).reshape(shape).astype(np.float32)
    tree = scores
    mask = np.ones(shape, bool)
    for key in reversed(path.split("/")):
        tree = {key: tree}
        mask = {key: mask}
    (answer,) = jax.tree.leaves(select_n_of_m(tree, mask, 2, 4))

    def groups(array):
        last = tuple(range(-len(axes), 0))
        return np.moveaxis(np.asarray(array), axes, last).reshape(-1, 4)

    assert (groups(answer).sum(1) == 2).all()
    for chosen, score in zip(groups(answer), groups(scores), strict=True):
        assert score[chosen].min() > score[~chosen].max()
    assert ungrouped(mask) == {}


def test_attention_of_linen_and_nnx_is_grouped_along_inputs_and_what_is_not_is_listed():
    attention = flax.linen.MultiHeadDotProductAttention(num_heads=3, qkv_features=6, out_features=5)
    linen = jax.eval_shape(attention.init, jax.random.key(0), jnp.zeros((1, 7, 8)))["params"]
    module = nnx.eval_shape(lambda: nnx.MultiHeadAttention(3, 8, 6, 5, decode=False, rngs=nnx.Rngs(0)))
    for params in (linen, nnx.state(module, nnx.Param)):
        # Eight features come in; three heads of two make six outputs, which fours do not divide.
        assert ungrouped(params) == {"out/kernel": (3, 2, 5)}
        assert ungrouped(params, 2) == {}


@pytest.mark.slow
@pytest.mark.parametrize("path", ["value/kernel", "out/kernel", "dense/kernel", "linear/weight"])
def test_layers_stacked_in_one_leaf_are_grouped_along_their_own_inputs(path):
    inputs_first = path.endswith("kernel")
    shape = (4, 8, 3) if inputs_first else (4, 3, 8)  # four layers of eight inputs
    layer, name = path.split("/")
    scores = {layer: {name: np.random.default_rng(5).normal(size=shape).astype(np.float32)}}
    mask = {layer: {name: np.ones(shape, bool)}}
    (answer,) = jax.tree.leaves(select_n_of_m(scores, mask, stacked=lambda path, leaf: 1))
    groups = np.asarray(answer if inputs_first else answer.swapaxes(1, 2)).reshape(4, 2, 4, 3)
    assert (groups.sum(2) == 2).all()
    assert ungrouped(mask, stacked=lambda path, leaf: 1) == {}


@pytest.mark.slow
def test_inputs_may_be_said():
    scores = {"w": jnp.array([[3.0, 1.0, 2.0, 4.0]])}
    mask = {"w": jnp.ones((1, 4), bool)}
    answer = select_n_of_m(scores, mask, inputs=lambda path, leaf: (1,))
    assert answer["w"].tolist() == [[True, False, False, True]]
    assert ungrouped(mask, inputs=lambda path, leaf: None) == {"w": (1, 4)}
