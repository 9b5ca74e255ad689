"""Selection answers as a stable ascending sort would, exactly, under every transformation of JAX."""

import importlib
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lpjax.sparsity import all_leaves, magnitude
from lpjax.sparsity import kept as kept_of
from lpjax.sparsity import select as select_leaves
from lpjax.sparsity import select_per_leaf as select_each_leaf

MODULE = importlib.import_module("lpjax.sparsity.select")  # the package's name for it is the function
SIZE = 14
TIED = st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, np.inf, -np.inf, 1e-40, 2e-40, -1e-40, 3e38])
# Vectors are leaves like others here; a scalar is a leaf that is never pruned.
select = partial(select_leaves, prunable=all_leaves)
select_per_leaf = partial(select_each_leaf, prunable=all_leaves)
kept = partial(kept_of, prunable=all_leaves)
jitted = jax.jit(select, static_argnames="min_kept")
jitted_per_leaf = jax.jit(select_per_leaf)


def tree_of(flat, scalar):
    """Cuts a flat array into a tree with a scalar leaf in the middle of the tree's order."""
    a, b, c = np.split(flat, [6, 10])
    return {"a": a.reshape(2, 3), "b": [scalar, b, c.reshape(2, 1, 2)]}


def flat_of(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree) if np.ndim(leaf)])


def by_sorting(scores, mask, count):
    """The definition: of the kept, in tree and row-major order, the lowest are dropped first and ties by index."""
    candidates = np.flatnonzero(mask)
    order = candidates[np.argsort(scores[candidates], kind="stable")]
    answer = np.zeros_like(mask)
    answer[order[max(len(order) - count, 0) :]] = True
    return answer


def scores_of(dtype, width):
    any_float = st.floats(allow_nan=False, width=width)
    return hnp.arrays(dtype, SIZE, elements=TIED | any_float)


masks = hnp.arrays(bool, SIZE)
counts = st.integers(0, SIZE + 3)


def check(scores, mask, count, function=jitted):
    answer = function(tree_of(scores, scores.dtype.type(7)), tree_of(mask, np.True_), count)
    assert answer["b"][0].shape == ()
    assert bool(answer["b"][0])
    np.testing.assert_array_equal(flat_of(answer), by_sorting(scores, mask, count))


@given(scores_of(np.float32, 32), masks, counts)
@settings(deadline=None, max_examples=60)
def test_float32_scores_are_cut_as_a_stable_sort_cuts_them(scores, mask, count):
    check(scores, mask, count)


@given(scores_of(np.float32, 32), masks, counts)
@settings(deadline=None, max_examples=40)
def test_bfloat16_scores_are_cut_as_a_stable_sort_cuts_them(scores, mask, count):
    rounded = np.asarray(scores.astype(jnp.bfloat16).astype(np.float32))
    tree = tree_of(scores.astype(jnp.bfloat16), jnp.bfloat16(7))
    answer = jitted(tree, tree_of(mask, np.True_), count)
    np.testing.assert_array_equal(flat_of(answer), by_sorting(rounded, mask, count))


@given(scores_of(np.float64, 64), masks, counts)
@settings(deadline=None, max_examples=40)
def test_float64_scores_are_cut_as_a_stable_sort_cuts_them(scores, mask, count):
    with jax.enable_x64(True):
        check(scores, mask, count)


def test_float64_scores_that_float32_cannot_tell_apart_are_told_apart():
    with jax.enable_x64(True):
        scores = {"w": jnp.array([1.0 + 2e-16, 1.0 + 4e-16, 1.0], jnp.float64)}
        assert jitted(scores, {"w": jnp.ones(3, bool)}, 1)["w"].tolist() == [False, True, False]


def test_subnormal_scores_are_ordered_and_not_flushed_to_zero():
    scores = {"w": np.array([2e-40, 0.0, 1e-40, -1e-40], np.float32)}
    for function in (select, jitted):
        assert function(scores, {"w": np.ones(4, bool)}, 1)["w"].tolist() == [True, False, False, False]
        assert function(scores, {"w": np.ones(4, bool)}, 2)["w"].tolist() == [True, False, True, False]


def test_minus_zero_ties_with_zero_and_the_lower_index_falls():
    scores = {"w": jnp.array([0.0, -0.0, 0.0, -0.0])}
    assert jitted(scores, {"w": jnp.ones(4, bool)}, 2)["w"].tolist() == [False, False, True, True]


@pytest.mark.parametrize("leaves", [1, 4])
def test_large_leaves_full_of_ties_are_cut_as_a_stable_sort_cuts_them(leaves):
    rng = np.random.default_rng(leaves)
    scores = [rng.integers(0, 9, (50, 7)).astype(np.float32) for _ in range(leaves)]
    mask = [rng.random((50, 7)) < 0.7 for _ in range(leaves)]
    for count in (0, 1, 100, int(sum(m.sum() for m in mask))):
        answer = jitted(scores, mask, count)
        np.testing.assert_array_equal(flat_of(answer), by_sorting(flat_of(scores), flat_of(mask), count))


def test_outside_jit_the_answer_is_the_same():
    rng = np.random.default_rng(0)
    scores, mask = rng.integers(-3, 3, SIZE).astype(np.float32), rng.random(SIZE) < 0.8
    for count in (0, 5, SIZE + 1):
        check(scores, mask, count, select)


def test_vmap_over_scores_and_counts_equals_a_loop():
    rng = np.random.default_rng(1)
    scores = jnp.asarray(rng.integers(0, 4, (5, SIZE)), jnp.float32)
    mask = jnp.asarray(rng.random(SIZE) < 0.8)
    counts = jnp.array([0, 3, 7, 11, 20])

    def one(scores, count):
        return select([scores[:6], scores[6:]], [mask[:6], mask[6:]], count)

    together = np.concatenate(jax.jit(jax.vmap(one))(scores, counts), axis=1)
    for row, s, n in zip(together, scores, counts, strict=True):
        np.testing.assert_array_equal(row, by_sorting(np.asarray(s), np.asarray(mask), int(n)))


def test_vmap_over_the_count_alone_gives_nested_masks():
    scores = {"w": jnp.asarray(np.random.default_rng(2).integers(0, 4, 30), jnp.float32)}
    mask = {"w": jnp.ones(30, bool)}
    levels = np.asarray(jax.vmap(lambda n: select(scores, mask, n))(jnp.arange(31))["w"])
    np.testing.assert_array_equal(levels.sum(1), np.arange(31))
    assert (levels[:-1] <= levels[1:]).all()


def test_one_trace_serves_every_count_and_every_mask():
    traces = []

    @jax.jit
    def counted(scores, mask, count):
        traces.append(count)
        return select(scores, mask, count)

    scores = {"w": jnp.arange(8.0)}
    mask = {"w": jnp.ones(8, bool)}
    for count in (8, 5, 2, 0):
        mask = counted(scores, mask, jnp.int32(count))
        assert int(kept(mask)) == count
    assert len(traces) == 1


@given(scores_of(np.float32, 32), st.lists(st.floats(0.1, 0.9), min_size=1, max_size=5))
@settings(deadline=None, max_examples=25)
def test_successive_levels_are_nested_and_equal_one_cut_of_fixed_scores(scores, fractions):
    tree = magnitude(tree_of(scores, np.float32(0)))
    mask = full = tree_of(np.ones(SIZE, bool), np.True_)
    count = SIZE
    for fraction in fractions:
        count -= round(fraction * count)
        smaller = jitted(tree, mask, count)
        assert (flat_of(smaller) <= flat_of(mask)).all()
        assert int(kept(smaller)) == count
        mask = smaller
    np.testing.assert_array_equal(flat_of(mask), flat_of(jitted(tree, full, count)))


@pytest.mark.slow
@given(scores_of(np.float32, 32), masks, st.tuples(st.integers(0, 7), st.integers(0, 5), st.integers(0, 5)))
@settings(deadline=None, max_examples=30)
def test_per_leaf_every_leaf_is_cut_on_its_own(scores, mask, budget):
    tree, masks = tree_of(scores, np.float32(0)), tree_of(mask, np.True_)
    counts = {"a": budget[0], "b": [0, budget[1], budget[2]]}
    answer = jitted_per_leaf(tree, masks, counts)
    assert bool(answer["b"][0])
    for a, s, m, n in zip(*map(jax.tree.leaves, (answer, tree, masks)), jax.tree.leaves(counts), strict=True):
        if np.ndim(m):
            np.testing.assert_array_equal(np.ravel(a), by_sorting(np.ravel(s), np.ravel(m), n))


def test_the_scores_of_a_leaf_that_is_never_pruned_do_not_matter():
    mask = {"bias": jnp.array(True), "w": jnp.ones(3, bool)}
    scores = {"bias": jnp.full(5, jnp.nan), "w": jnp.array([3.0, 1.0, 2.0])}
    assert jitted(scores, mask, 2)["w"].tolist() == [True, False, True]


def test_the_tree_may_be_any_pytree_and_its_structure_is_kept():
    scores = ({"w": jnp.array([2.0, 1.0])}, [jnp.array([[3.0]])])
    mask = jax.tree.map(lambda s: jnp.ones(s.shape, bool), scores)
    answer = jitted(scores, mask, 2)
    assert jax.tree.structure(answer) == jax.tree.structure(scores)
    assert [m.tolist() for m in jax.tree.leaves(answer)] == [[True, False], [[True]]]


def test_torch_prunes_two_convolutions_globally_to_the_same_masks():
    params = {"a": jnp.array([0.9, -0.1, 0.5, -0.05, 0.3, 0.7]), "b": jnp.array([-0.2, 0.15, 0.8, -0.6, 0.25, 0.01])}
    mask = jax.tree.map(lambda p: jnp.ones(p.shape, bool), params)
    rounds = {10: ("111011", "111110"), 8: ("101011", "101110"), 6: ("101011", "001100"), 5: ("101001", "001100")}
    for count, (a, b) in rounds.items():
        mask = jitted(magnitude(params), mask, count)
        assert "".join(str(int(m)) for m in mask["a"]) == a
        assert "".join(str(int(m)) for m in mask["b"]) == b


@given(scores_of(np.float32, 32), masks, st.tuples(*[st.integers(-1, 7)] * 3))
@settings(deadline=None, max_examples=30)
def test_leaves_of_mixed_dtypes_are_each_cut_as_a_stable_sort_cuts_them(scores, mask, budget):
    a, b, c = np.split(scores, [6, 10])
    tree = [jnp.asarray(a), jnp.asarray(b, jnp.bfloat16), jnp.asarray(c).astype(jnp.float16)]
    pieces = np.split(mask, [6, 10])
    for s, m, n, answer in zip(tree, pieces, budget, jitted_per_leaf(tree, pieces, list(budget)), strict=True):
        np.testing.assert_array_equal(answer, by_sorting(np.asarray(s.astype(jnp.float32)), m, max(n, 0)))


def test_float64_beside_float32_is_cut_at_full_precision_per_leaf():
    with jax.enable_x64(True):
        scores = [jnp.array([1 + 4e-16, 1 + 2e-16, 1.0], jnp.float64), jnp.array([2, 2, 3, 1], jnp.float32)]
        mask = [jnp.ones(3, bool), jnp.ones(4, bool)]
        answer = jitted_per_leaf(scores, mask, [2, 2])
    assert [m.tolist() for m in answer] == [[True, True, False], [False, True, True, False]]


def test_leaves_of_many_rows_and_of_part_of_one_are_cut_as_a_stable_sort_cuts_them():
    rng = np.random.default_rng(3)
    sizes = [1, 1023, 1024, 1025, 5000, 3]
    scores = [rng.integers(0, 5, n).astype(np.float32) for n in sizes]
    mask = [rng.random(n) < 0.7 for n in sizes]
    for budget in ([0] * 6, [1, 500, 600, 700, 2500, 1], [9000] * 6, [0, 1023, 0, 1, 4999, 0]):
        for answer, s, m, n in zip(jitted_per_leaf(scores, mask, budget), scores, mask, budget, strict=True):
            np.testing.assert_array_equal(answer, by_sorting(s, m, n))
    for count in (0, 1, 2000, 5000):
        answer = np.concatenate(jitted(scores, mask, count))
        np.testing.assert_array_equal(answer, by_sorting(np.concatenate(scores), np.concatenate(mask), count))


def test_vmap_over_scores_and_counts_per_leaf_equals_a_loop():
    rng = np.random.default_rng(4)
    scores = [jnp.asarray(rng.integers(0, 3, (4, n)), jnp.float32) for n in (6, 9)]
    mask = [jnp.asarray(rng.random(n) < 0.8) for n in (6, 9)]
    budgets = [jnp.array([0, 2, 4, 6]), jnp.array([9, 0, 3, 20])]
    together = jax.jit(jax.vmap(select_per_leaf, in_axes=(0, None, 0)))(scores, mask, budgets)
    for rows, s, m, budget in zip(together, scores, mask, budgets, strict=True):
        for row, values, n in zip(rows, s, budget, strict=True):
            np.testing.assert_array_equal(row, by_sorting(np.asarray(values), np.asarray(m), int(n)))


def test_per_leaf_one_trace_serves_every_budget():
    traces = []

    @jax.jit
    def counted(scores, mask, budgets):
        traces.append(budgets)
        return select_per_leaf(scores, mask, budgets)

    scores, mask = [jnp.arange(5.0), jnp.arange(3.0)], [jnp.ones(5, bool), jnp.ones(3, bool)]
    for budget in ((0, 0), (5, 1), (2, 3)):
        answer = counted(scores, mask, [jnp.int32(n) for n in budget])
        assert [int(m.sum()) for m in answer] == list(budget)
    assert len(traces) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "budget", "loops"),
    [(select, 40, 2), (select_per_leaf, [2] * 20, 2), (partial(select, min_kept=1), 40, 4)],
)
def test_a_program_does_not_grow_with_a_loop_for_every_leaf(function, budget, loops):
    scores = [jnp.arange(4.0)] * 20
    mask = [jnp.ones(4, bool)] * 20
    text = jax.jit(function).lower(scores, mask, budget).as_text()
    assert text.count("stablehlo.while") <= loops


@pytest.mark.parametrize("function", [select_leaves, select_each_leaf])
def test_a_tree_without_prunable_leaves_is_refused_with_its_paths(function):
    mask = {"head": {"bias": jnp.ones(3, bool)}}
    with pytest.raises(ValueError, match=r"prunable: .*head/bias"):
        function({"head": {"bias": jnp.ones(3)}}, mask, {"head": {"bias": 0}})


@pytest.mark.parametrize("prunable", [lambda path, leaf: path == "v", {"v": True, "w": False}])
def test_only_leaves_that_are_said_to_be_prunable_are_cut(prunable):
    scores = {"v": jnp.array([[3.0, 1.0, 2.0]]), "w": jnp.full((1, 3), jnp.nan)}
    mask = {"v": jnp.ones((1, 3), bool), "w": jnp.array([[True, False, True]])}
    for answer in (
        select_leaves(scores, mask, 2, prunable),
        select_each_leaf(scores, mask, {"v": 2, "w": 0}, prunable),
    ):
        assert answer["v"].tolist() == [[True, False, True]]
        assert answer["w"].tolist() == [[True, False, True]]


def in_place(function):
    """Compiles a selection that compares leaves where they are, as it does for large trees."""

    def traced(*args, **kwargs):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(MODULE, "_LARGE", 0)
            return function(*args, **kwargs)

    return jax.jit(traced, static_argnames="min_kept")


in_place_jitted = in_place(select)
in_place_per_leaf = in_place(select_per_leaf)


def test_leaves_in_place_are_cut_by_another_program_than_packed_ones():
    scores = [jnp.ones((3, 5)), jnp.ones((4, 2))]
    mask = [jnp.ones((3, 5), bool), jnp.ones((4, 2), bool)]
    for function, budget in ((select, 9), (select_per_leaf, [4, 5])):
        packed = jax.jit(function).lower(scores, mask, budget).as_text()
        apart = in_place(function).lower(scores, mask, budget).as_text()
        assert f"x{MODULE._WIDTH}x" in packed
        assert f"x{MODULE._WIDTH}x" not in apart


@given(scores_of(np.float32, 32), masks, counts)
@settings(deadline=None, max_examples=40)
def test_packed_and_in_place_selection_agree_bit_for_bit(scores, mask, count):
    check(scores, mask, count, in_place_jitted)
    trees = tree_of(scores, np.float32(7)), tree_of(mask, np.True_)
    np.testing.assert_array_equal(flat_of(in_place_jitted(*trees, count)), flat_of(jitted(*trees, count)))


@given(scores_of(np.float32, 32), masks, st.tuples(st.integers(0, 7), st.integers(0, 5), st.integers(0, 5)))
@settings(deadline=None, max_examples=30)
def test_packed_and_in_place_selection_per_leaf_agree_bit_for_bit(scores, mask, budget):
    trees = tree_of(scores, np.float32(7)), tree_of(mask, np.True_)
    counts = {"a": budget[0], "b": [0, budget[1], budget[2]]}
    np.testing.assert_array_equal(flat_of(in_place_per_leaf(*trees, counts)), flat_of(jitted_per_leaf(*trees, counts)))


def with_floors(scores, mask, count, min_kept):
    """The definition: every leaf keeps its best `min_kept`, and the best of all others fill up the count."""
    sizes = [6, 4, 4]
    ends = np.cumsum(sizes)[:-1]
    parts = zip(np.split(scores, ends), np.split(mask, ends), strict=True)
    protected = np.concatenate([by_sorting(score, kept, min_kept) for score, kept in parts])
    return protected | by_sorting(scores, mask & ~protected, count - protected.sum())


@given(scores_of(np.float32, 32), masks, counts, st.sampled_from([1, 3]))
@settings(deadline=None, max_examples=60)
def test_min_kept_protects_the_best_of_every_leaf_and_the_total_stays_exact(scores, mask, count, min_kept):
    trees = tree_of(scores, np.float32(7)), tree_of(mask, np.True_)
    for function in (jitted, in_place_jitted):
        answer = flat_of(function(*trees, count, min_kept=min_kept))
        assert answer.sum() == min(count, mask.sum())
        assert not (answer & ~mask).any()
        floors = sum(min(min_kept, part.sum()) for part in np.split(mask, [6, 10]))
        if count >= floors:
            np.testing.assert_array_equal(answer, with_floors(scores, mask, count, min_kept))


@pytest.mark.slow
def test_min_kept_holds_in_every_stacked_layer():
    scores = {"v": jnp.full((2, 2), 9.0), "w": jnp.stack([jnp.arange(4.0).reshape(2, 2) + 10 * n for n in range(3)])}
    mask = {"v": jnp.ones((2, 2), bool), "w": jnp.ones((3, 2, 2), bool)}
    per_leaf = jitted(scores, mask, 6, min_kept=1)
    assert per_leaf["w"].sum((1, 2)).tolist() == [0, 1, 4]
    by_layer = partial(select, stacked={"v": 0, "w": 1}, min_kept=1)
    for function in (jax.jit(by_layer), in_place(by_layer)):
        per_layer = function(scores, mask, 6)
        assert per_layer["w"].sum((1, 2)).tolist() == [1, 1, 3]
        assert int(per_layer["v"].sum()) == 1


@pytest.mark.slow
@given(hnp.arrays(np.float32, (3, 2, 4), elements=TIED.map(np.float32)), hnp.arrays(bool, (3, 2, 4)), st.data())
@settings(deadline=None, max_examples=30)
def test_layers_stacked_in_one_leaf_are_each_cut_on_their_own(scores, mask, data):
    budget = data.draw(st.lists(st.integers(0, 9), min_size=3, max_size=3))
    other = data.draw(st.integers(0, 9))
    single = {"v": scores[0], "w": scores}, {"v": mask[0], "w": mask}
    counts = {"v": other, "w": np.array(budget, np.int32)}
    for function in (jitted_per_leaf, in_place_per_leaf):
        answer = function(*single, counts)
        np.testing.assert_array_equal(np.ravel(answer["v"]), by_sorting(scores[0].ravel(), mask[0].ravel(), other))
        for layer, count in enumerate(budget):
            expected = by_sorting(scores[layer].ravel(), mask[layer].ravel(), count)
            np.testing.assert_array_equal(np.ravel(answer["w"][layer]), expected)
