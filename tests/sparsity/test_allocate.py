"""Allocation: integer counts that add up to the budget exactly."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lpjax.sparsity import all_leaves, erk, kept, select_per_leaf, uniform

NET = {"conv1": (3, 3, 3, 64), "conv2": (3, 3, 64, 128), "fc": (128, 10)}


def mask_of(shapes):
    return {name: np.ones(shape, bool) for name, shape in shapes.items()}


shapes = st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=4).map(tuple), min_size=1, max_size=6)
densities = st.one_of(st.sampled_from([0.0, 0.05, 0.1, 0.5, 1.0]), st.floats(0, 1))


@pytest.mark.parametrize(
    ("density", "counts"),
    [
        (0.5, (1728, 35360, 1280)),
        (0.2, (1728, 12339, 1280)),
        (0.1, (1722, 4672, 1280)),
        (0.05, (689, 1868, 1280)),
    ],
)
def test_erk_gives_the_hand_computed_counts_of_a_three_layer_network(density, counts):
    assert tuple(erk(mask_of(NET), density).values()) == counts


@pytest.mark.parametrize(
    ("density", "expected"),
    [
        (0.5, (1, 0.479601, 1)),
        (0.2, (1, 0.167361, 1)),
        (0.1, (0.996679, 0.063359, 1)),
        (0.05, (0.398572, 0.025337, 1)),
    ],
)
def test_erk_gives_the_hand_computed_densities_of_a_three_layer_network(density, expected):
    counts = erk(mask_of(NET), density)
    realized = [counts[name] / np.prod(shape) for name, shape in NET.items()]
    np.testing.assert_allclose(realized, expected, atol=3e-4)


def test_erk_without_the_first_convolution_shares_its_budget():
    mask = mask_of({name: NET[name] for name in ("conv2", "fc")})
    counts = erk(mask, 0.1)
    assert counts["fc"] == 1280
    np.testing.assert_allclose(counts["conv2"] / 73728, 0.084375, atol=1e-5)


def test_erk_treats_layers_of_one_shape_alike_and_does_not_mind_the_axes_order():
    counts = erk(mask_of({"hwio": (3, 3, 8, 16), "oihw": (16, 8, 3, 3), "fc": (100, 50)}), 0.2)
    assert abs(counts["hwio"] - counts["oihw"]) <= 1


def test_erk_of_power_zero_is_uniform():
    assert erk(mask_of(NET), 0.3, power=0.0) == uniform(mask_of(NET), 0.3)


@pytest.mark.slow
@pytest.mark.parametrize("allocate", [erk, uniform])
@given(shapes=shapes, density=densities)
@settings(deadline=None, max_examples=100)
def test_counts_add_up_to_the_rounded_budget_and_fit_their_leaves(allocate, shapes, density):
    mask = [np.ones(shape, bool) for shape in shapes]
    counts = allocate(mask, density, prunable=all_leaves)
    assert all(type(n) is int for n in counts)
    assert sum(counts) == round(density * sum(m.size for m in mask))
    assert all(0 <= n <= m.size for n, m in zip(counts, mask, strict=True))


@given(shapes=shapes, density=densities)
@settings(deadline=None, max_examples=100)
def test_uniform_counts_lie_within_one_weight_of_the_density(shapes, density):
    mask = [np.ones(shape, bool) for shape in shapes]
    for n, m in zip(uniform(mask, density, prunable=all_leaves), mask, strict=True):
        assert abs(n - density * m.size) <= 1 + 1e-6


def test_the_largest_remainder_takes_the_weight_that_is_left_over():
    mask = mask_of({"u": (1, 7), "v": (1, 3), "w": (1, 10)})  # shares 2.8, 1.2, 4.0
    assert uniform(mask, 0.4) == {"u": 3, "v": 1, "w": 4}


@pytest.mark.parametrize("allocate", [erk, uniform])
def test_a_leaf_that_is_never_pruned_gets_no_count_and_does_not_weigh(allocate):
    mask = {**mask_of(NET), "bias": np.ones(10, bool), "scale": np.ones((4, 16), bool), "temperature": np.True_}
    counts = allocate(mask, 0.1)
    assert [counts.pop(name) for name in ("bias", "scale", "temperature")] == [0, 0, 0]
    assert counts == allocate(mask_of(NET), 0.1)


@pytest.mark.parametrize("allocate", [erk, uniform])
@pytest.mark.parametrize("density", [-0.1, 1.1, float("nan")])
def test_a_density_out_of_range_is_refused(allocate, density):
    with pytest.raises(ValueError, match=r"^density: "):
        allocate(mask_of(NET), density)


def test_counts_feed_selection_per_leaf():
    mask = jax.tree.map(jnp.asarray, mask_of({"v": (4, 5), "w": (1, 10)}))
    scores = jax.tree.map(lambda m: jnp.arange(m.size, dtype=jnp.float32).reshape(m.shape), mask)
    counts = erk(mask, 0.5)
    chosen = jax.jit(select_per_leaf)(scores, mask, counts)
    assert {name: int(m.sum()) for name, m in chosen.items()} == counts
    assert int(kept(chosen)) == 15


STACK = {"stack": (3, 8, 16), "head": (16, 10)}
APART = {"first": (8, 16), "second": (8, 16), "third": (8, 16), "head": (16, 10)}


def is_stack(path, leaf):
    return path == "stack"


@pytest.mark.parametrize("stacked", [is_stack, {"stack": 1, "head": 0}])
@pytest.mark.parametrize("allocate", [erk, uniform])
@pytest.mark.parametrize("density", [0.1, 0.3, 0.9])
def test_stacked_layers_have_the_budgets_that_they_would_have_as_leaves_of_their_own(allocate, density, stacked):
    counts = allocate(mask_of(STACK), density, stacked=stacked)
    # In tree order the head comes first, and the layers follow one another.
    apart = allocate(mask_of(APART), density)
    assert counts["head"] == apart["head"]
    np.testing.assert_array_equal(counts["stack"], [apart[name] for name in ("first", "second", "third")])


@pytest.mark.parametrize("allocate", [erk, uniform])
def test_two_stacked_axes_give_every_layer_of_the_grid_a_count(allocate):
    counts = allocate(mask_of({"stack": (2, 3, 4, 5)}), 0.3, stacked=lambda path, leaf: 2)
    assert counts["stack"].shape == (2, 3)
    assert counts["stack"].sum() == 36
    assert set(counts["stack"].ravel()) == {6}


@pytest.mark.parametrize("allocate", [erk, uniform])
def test_stacked_axes_that_a_leaf_does_not_have_are_refused(allocate):
    with pytest.raises(ValueError, match=r"stacked: .*head"):
        allocate(mask_of(STACK), 0.3, stacked={"stack": 1, "head": 3})


@pytest.mark.parametrize("allocate", [erk, uniform])
@given(shapes=shapes, density=densities, min_kept=st.integers(0, 20))
@settings(deadline=None, max_examples=100)
def test_min_kept_is_a_floor_in_every_leaf_and_the_total_stays_exact(allocate, shapes, density, min_kept):
    mask = [np.ones(shape, bool) for shape in shapes]
    budget = round(density * sum(m.size for m in mask))
    floors = [min(m.size, min_kept) for m in mask]
    if sum(floors) > budget:
        with pytest.raises(ValueError, match=r"^min_kept: "):
            allocate(mask, density, prunable=all_leaves, min_kept=min_kept)
        return
    counts = allocate(mask, density, prunable=all_leaves, min_kept=min_kept)
    assert sum(counts) == budget
    assert all(floor <= n <= m.size for floor, n, m in zip(floors, counts, mask, strict=True))


@pytest.mark.parametrize("allocate", [erk, uniform])
def test_rounding_leaves_a_small_leaf_empty_unless_a_floor_is_asked_for(allocate):
    mask = mask_of({"large": (100, 100), "small": (10, 10)})
    assert uniform(mask, 0.001)["small"] == 0
    counts = allocate(mask, 0.001, min_kept=3)
    assert counts["small"] >= 3
    assert sum(counts.values()) == 10


def test_a_floor_holds_in_every_stacked_layer():
    counts = uniform(mask_of({"stack": (4, 2, 2), "wide": (50, 50)}), 0.01, stacked={"stack": 1, "wide": 0}, min_kept=2)
    assert counts["stack"].tolist() == [2, 2, 2, 2]
    assert counts["wide"] == round(0.01 * 2516) - 8
