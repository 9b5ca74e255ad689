"""Iterative magnitude pruning with a toy in place of a training run."""

import itertools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lpjax.sparsity import assert_on_mask, full_mask, random
from lpjax.sparsity import kept as kept_of
from lpjax.tickets import IMPState, by_magnitude, imp, openlth_rule, random_score
from lpjax.transforms import fixed_mask

A = (0.9, -0.1, 0.5, -0.05, 0.3, 0.7)
B = (-0.2, 0.15, 0.8, -0.6, 0.25, 0.01)
FC = (0.02, -0.4, 0.35, 0.45)
SCORES = {"magnitude": by_magnitude, "random": random_score(jax.random.key(0))}


def weights_of(**leaves):
    """Parameters whose leaves are rows, but for biases, which are never pruned."""
    return {
        name: jnp.asarray(values if name == "bias" else [values], jnp.float32).copy() for name, values in leaves.items()
    }


def all_but(*never):
    return lambda path, leaf: path not in never


ALL_BUT_BIAS = all_but("bias")


def bits(mask, prunable=ALL_BUT_BIAS):
    return {name: "".join(str(int(m)) for m in leaf[0]) for name, leaf in mask.items() if prunable(name, leaf)}


def kept(mask):
    return int(kept_of(mask, all_but("bias", "mean")))


def masks_of(pruning, params, levels, train=lambda params: params):
    """Runs some levels and returns the mask that each of them cut."""
    state = pruning.init(params)
    masks = []
    for _ in range(levels):
        state = pruning.step(state, train(state.params))
        masks.append(state.mask)
    return masks


def untrained_masks(pruning, params, levels):
    """Levels whose training ends at the same weights whatever it starts from."""
    return masks_of(pruning, params, levels, lambda _: params)


def toy_network():
    return {"w": jnp.array([[4.0, -1.0, 2.5, 0.5, -3.5]]), "bias": jnp.array([0.1]), "mean": jnp.array([7.0])}


def moved(params, by):
    return jax.tree.map(lambda leaf: leaf + by, params)


def assert_equal(tree, other):
    jax.tree.map(np.testing.assert_array_equal, tree, other)


def test_the_masks_of_torch_pruning_come_out_round_after_round():
    params = weights_of(a=A, b=B, bias=(0.0, 0.0), fc=FC)
    prunable = all_but("bias", "fc")
    masks = untrained_masks(imp(prunable=prunable), params, 4)
    assert [bits(mask, prunable) for mask in masks] == [
        {"a": "111011", "b": "111110"},
        {"a": "101011", "b": "101110"},
        {"a": "101011", "b": "001100"},
        {"a": "101001", "b": "001100"},
    ]
    assert all(mask["fc"].all() and mask["bias"].all() for mask in masks)


@pytest.mark.filterwarnings("ignore:pruning left no weight")
def test_the_masks_of_openlth_come_out_round_after_round():
    params = weights_of(a=A, b=B, fc=FC)
    masks = untrained_masks(imp(count_rule=openlth_rule, prunable=all_but()), params, 4)
    assert [bits(mask) for mask in masks] == [
        {"a": "101011", "b": "101110", "fc": "0111"},
        {"a": "101001", "b": "001100", "fc": "0101"},
        {"a": "100001", "b": "001100", "fc": "0000"},
        {"a": "100000", "b": "001000", "fc": "0000"},
    ]


def test_the_masks_of_openlth_with_an_ignored_classifier_come_out_until_nothing_is_left():
    params = weights_of(a=A, b=B, fc=FC)
    prunable = all_but("fc")
    pruning = imp(count_rule=openlth_rule, never_pruned=4, prunable=prunable)
    masks = untrained_masks(pruning, params, 2)
    assert [bits(mask, prunable) for mask in masks] == [
        {"a": "101011", "b": "001110"},
        {"a": "100001", "b": "001000"},
    ]
    with pytest.raises(ValueError, match=r"prune_fraction: .*level 3"):
        untrained_masks(pruning, params, 3)


def test_the_first_level_trains_the_dense_network_from_its_initial_weights():
    params = toy_network()
    state = imp().init(params)
    assert isinstance(state, IMPState)
    assert state.level == 0
    assert_equal(state.params, params)
    assert_equal(state.mask, full_mask(params))


def test_a_given_mask_is_where_the_first_level_starts():
    params = toy_network()
    mask = {"w": jnp.array([[True, False, True, True, True]]), "bias": np.True_, "mean": np.True_}
    pruning = imp(0.5)
    state = pruning.init(params, mask)
    assert state.params["w"].tolist() == [[4.0, 0.0, 2.5, 0.5, -3.5]]
    assert jax.tree.map(jnp.shape, state.mask) == jax.tree.map(jnp.shape, params)
    assert pruning.step(state, moved(params, 9.0)).mask["w"].tolist() == [[True, False, True, False, False]]


def test_later_levels_start_from_the_masked_rewind_point_of_the_first_with_all_that_is_never_pruned():
    params = toy_network()
    pruning = imp()
    state = pruning.init(params)
    starts = []
    for level in range(4):
        point = moved(params, 0.25) if level == 0 else None
        state = pruning.step(state, moved(state.params, -3.0), rewind_point=point)
        starts.append(state)
    assert [state.level for state in starts] == [1, 2, 3, 4]
    for state in starts:
        expected = np.where(state.mask["w"], np.asarray(params["w"]) + 0.25, 0)
        np.testing.assert_array_equal(state.params["w"], expected)
        np.testing.assert_array_equal(state.params["bias"], params["bias"] + 0.25)
        np.testing.assert_array_equal(state.params["mean"], [7.25])


def test_without_a_rewind_point_levels_restart_from_the_initial_weights():
    params = toy_network()
    pruning = imp()
    state = pruning.init(params)
    for _ in range(3):
        state = pruning.step(state, moved(state.params, -3.0))
        np.testing.assert_array_equal(state.params["w"], np.where(state.mask["w"], params["w"], 0))
        np.testing.assert_array_equal(state.params["mean"], [7.0])


def test_learning_rate_rewinding_starts_from_the_trained_weights():
    params = toy_network()
    pruning = imp(rewind=False)
    state = pruning.init(params)
    assert state.rewind_point == ()
    for level in range(1, 4):
        trained = moved(state.params, -3.0)
        state = pruning.step(state, trained)
        np.testing.assert_array_equal(state.params["w"], np.where(state.mask["w"], trained["w"], 0))
        np.testing.assert_array_equal(state.params["mean"], [7.0 - 3.0 * level])
        assert state.rewind_point == ()


@pytest.mark.parametrize(("by", "expected"), [(-3.0, "11011"), (2.0, "10111")])
def test_the_mask_is_cut_from_the_trained_weights_and_not_from_those_it_rewinds_to(by, expected):
    # trained: [1 -4 -.5 -2.5 -6.5] or [6 1 4.5 2.5 -1.5]
    params = toy_network()
    pruning = imp()
    state = pruning.step(pruning.init(params), moved(params, by), rewind_point=moved(params, 100.0))
    assert bits(state.mask, all_but("bias", "mean"))["w"] == expected


def test_a_level_starts_on_its_mask_and_keeps_the_rules_count():
    params = toy_network()
    pruning = imp(0.4)
    state = pruning.init(params)
    for expected in (5, 3, 2):
        assert kept(state.mask) == expected
        assert_on_mask(state.params, state.mask)
        state = pruning.step(state, moved(state.params, 2.0))


def test_what_was_pruned_stays_pruned_even_if_training_makes_it_large():
    params = weights_of(w=np.random.default_rng(0).normal(size=40))
    pruning = imp()
    state = pruning.init(params)
    masks = []
    for _ in range(5):
        strayed = {"w": jnp.where(state.mask["w"], params["w"], 100.0)}
        state = pruning.step(state, strayed)
        masks.append(state.mask)
    for larger, smaller in itertools.pairwise(masks):
        assert (smaller["w"] <= larger["w"]).all()
    assert [kept(mask) for mask in masks] == [32, 26, 21, 17, 14]


@pytest.mark.slow
def test_random_pruning_follows_the_key():
    params = weights_of(a=np.ones(30), c=np.ones(10))
    runs = [untrained_masks(imp(0.5, score=random_score(jax.random.key(k)), min_kept=1), params, 3) for k in (0, 0, 1)]
    assert_equal(runs[0], runs[1])
    assert bits(runs[0][0]) != bits(runs[2][0])
    assert [kept(mask) for mask in runs[0]] == [20, 10, 5]


def test_a_score_sees_the_trained_weights_and_the_level_and_random_ones_are_drawn_anew():
    seen = []
    drawn = []

    def score(params, level):
        seen.append((level, float(params["w"][0, 0])))
        drawn.append(random_score(jax.random.key(0))(params, level)["w"])
        return {"w": drawn[-1]}

    pruning = imp(score=score)
    state = pruning.init(weights_of(w=np.ones(20)))
    for level in range(3):
        state = pruning.step(state, weights_of(w=np.full(20, 5.0 + level)))
    assert seen == [(0, 5.0), (1, 6.0), (2, 7.0)]
    assert all((drawn[i] != drawn[j]).any() for i, j in ((0, 1), (1, 2), (0, 2)))
    first = random(jax.random.fold_in(jax.random.key(0), 0), {"w": jnp.ones((1, 20))})["w"]
    np.testing.assert_array_equal(drawn[0], first)


def test_layerwise_every_leaf_loses_its_own_share():
    params = weights_of(big=np.arange(100, 120), small=np.arange(1, 11), bias=np.ones(3))
    masks = untrained_masks(imp(0.3, scope="layerwise"), params, 3)
    counts = [(int(mask["big"].sum()), int(mask["small"].sum())) for mask in masks]
    assert counts == [(14, 7), (10, 5), (7, 3)]
    assert bits(masks[0])["small"] == "0001111111"


def test_globally_the_leaf_of_small_weights_loses_most():
    params = weights_of(big=np.arange(100, 120), small=np.arange(1, 11))
    (mask,) = untrained_masks(imp(0.3), params, 1)
    assert (int(mask["big"].sum()), int(mask["small"].sum())) == (20, 1)


@pytest.mark.parametrize("scope", ["global", "layerwise"])
def test_layers_stacked_in_one_leaf_lose_their_own_shares_where_budgets_are_per_layer(scope):
    stack = jnp.stack([jnp.arange(1.0, 11).reshape(2, 5), jnp.arange(101.0, 111).reshape(2, 5)])
    pruning = imp(0.5, scope=scope, stacked=lambda path, leaf: 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (mask,) = untrained_masks(pruning, {"w": stack}, 1)
    assert mask["w"].sum((1, 2)).tolist() == ([5, 5] if scope == "layerwise" else [0, 10])


def test_layerwise_openlth_counts_every_leaf_without_what_the_network_never_prunes():
    params = weights_of(v=np.arange(1, 11), w=np.arange(1, 11))
    pruning = imp(0.5, scope="layerwise", count_rule=openlth_rule, never_pruned=10)
    (mask,) = untrained_masks(pruning, params, 1)
    assert bits(mask) == {"v": "0000001111", "w": "0000001111"}


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("rewind", [True, False])
def test_a_state_handed_back_gives_identical_later_levels(score, rewind):
    params = toy_network()
    pruning = imp(0.3, score=SCORES[score], rewind=rewind)

    def run(state, levels):
        states = []
        for _ in range(levels):
            point = moved(params, 0.25) if rewind and state.level == 0 else None
            state = pruning.step(state, moved(state.params, -3.0), rewind_point=point)
            states.append(state)
        return states

    whole = run(pruning.init(params), 4)
    interrupted = run(pruning.init(params), 2)[-1]
    resumed = jax.tree.map(lambda leaf: leaf if isinstance(leaf, int) else jnp.array(np.asarray(leaf)), interrupted)
    assert_equal(run(resumed, 2), whole[2:])


def test_a_step_leaves_the_state_and_the_trained_weights_alone():
    params = toy_network()
    pruning = imp()
    state = pruning.init(params)
    trained = moved(params, -3.0)
    after = pruning.step(state, trained)
    assert_equal(after, pruning.step(state, trained))
    assert state.level == 0
    assert_equal(trained, moved(toy_network(), -3.0))


@pytest.mark.parametrize("rewind", [True, False])
def test_training_may_donate_what_a_state_hands_out_and_the_next_level_is_the_same(rewind):
    pruning = imp(0.3, rewind=rewind)

    def run(donated):
        params = toy_network()
        state = pruning.init(params)
        step = jax.jit(lambda params, state: train(params, state), donate_argnums=(0, 1) if donated else ())
        states = []
        for _ in range(3):
            optimizer = fixed_mask(optax.sgd(0.1, momentum=0.9), state.mask)

            def train(params, opt_state, optimizer=optimizer):
                updates, opt_state = optimizer.update(params, opt_state, params)
                return optax.apply_updates(params, updates), opt_state

            given = state.params
            trained, _ = step(given, optimizer.init(given))
            if donated:
                assert given["w"].is_deleted()
            state = pruning.step(state, trained)
            states.append(jax.tree.map(np.array, state))
        assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(params))
        return states

    assert_equal(run(donated=True), run(donated=False))


def test_a_rewind_point_and_initial_weights_that_are_donated_later_are_not_lost():
    params = toy_network()
    pruning = imp()
    state = pruning.init(params)
    point = moved(params, 0.25)
    state = pruning.step(state, moved(params, 1.0), rewind_point=point)
    for leaf in jax.tree.leaves((params, point)):
        leaf.delete()
    for _ in range(2):
        state = pruning.step(state, moved(state.params, 1.0))
        np.testing.assert_array_equal(state.params["mean"], [7.25])


def test_every_buffer_of_a_state_is_its_own():
    params = toy_network()
    for rewind in (True, False):
        pruning = imp(0.3, rewind=rewind)
        state = pruning.init(params)
        for _ in range(2):
            pointers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves((state[1:], params))]
            assert len(set(pointers)) == len(pointers)
            state = pruning.step(state, moved(state.params, 1.0))


def scaled_network():
    """Three layers of ten weights, one of them of much smaller scale."""
    rng = np.random.default_rng(0)
    return {
        "first": {"kernel": jnp.asarray(rng.uniform(0.5, 1, (2, 5)), jnp.float32)},
        "second": {"kernel": jnp.asarray(0.01 * rng.uniform(0.5, 1, (2, 5)), jnp.float32)},
        "third": {"kernel": jnp.asarray(rng.uniform(0.5, 1, (2, 5)), jnp.float32)},
    }


def test_a_layer_that_pruning_empties_is_warned_of_by_name():
    pruning = imp(0.2)
    state = pruning.init(scaled_network())
    state = pruning.step(state, state.params)
    with pytest.warns(UserWarning, match=r"second/kernel") as caught:
        pruning.step(state, scaled_network())
    assert len(caught) == 1
    assert "first" not in str(caught[0].message)


@pytest.mark.parametrize("scope", ["global", "layerwise"])
def test_min_kept_saves_the_layer_and_the_count_is_still_the_rules(scope):
    params = scaled_network()
    pruning = imp(0.4, scope=scope, min_kept=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        masks = untrained_masks(pruning, params, 3)
    for mask in masks:
        assert all(int(leaf.sum()) >= 3 for leaf in jax.tree.leaves(mask))
    if scope == "global":
        assert [kept(mask) for mask in masks] == [18, 11, 7 + 2]  # the floors, nine weights, outweigh the rule's seven


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"prune_fraction": 0.0}, "prune_fraction"),
        ({"prune_fraction": 20}, "prune_fraction"),
        ({"scope": "local"}, "scope"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(settings, field):
    with pytest.raises(ValueError, match=field):
        imp(**settings)


def test_a_rewind_point_where_none_is_used_is_refused():
    params = toy_network()
    lrr = imp(rewind=False)
    with pytest.raises(ValueError, match=r"rewind_point: .*rewind=False"):
        lrr.step(lrr.init(params), params, rewind_point=params)
    pruning = imp()
    later = pruning.step(pruning.init(params), params)
    with pytest.raises(ValueError, match=r"rewind_point: .*level 1"):
        pruning.step(later, params, rewind_point=params)


@pytest.mark.parametrize("what", ["trained", "rewind_point"])
def test_parameters_of_another_network_are_refused_by_the_leafs_name(what):
    params = toy_network()
    other = {**params, "w": params["w"][:, :1]}
    pruning = imp()
    given = {"trained": params, what: other}
    with pytest.raises(ValueError, match=rf"{what}: .*'w'"):
        pruning.step(pruning.init(params), **given)


def test_a_network_of_which_nothing_is_prunable_is_refused_at_once():
    with pytest.raises(ValueError, match=r"prunable: .*bias"):
        imp().init({"bias": jnp.ones(3)})


@pytest.mark.parametrize("scope", ["global", "layerwise"])
def test_pruning_the_last_weight_is_refused(scope):
    params = weights_of(w=(1.0,))
    pruning = imp(0.9, scope=scope)
    with pytest.raises(ValueError, match=r"prune_fraction: .*level 1"):
        pruning.step(pruning.init(params), params)
