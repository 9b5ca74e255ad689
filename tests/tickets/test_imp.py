"""Iterative magnitude pruning with a toy in place of a training run."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lpjax.sparsity import full_mask, kept, random
from lpjax.tickets import SCORES, Trained, imp, openlth_rule
from lpjax.types import Variables

KEY = jax.random.key(0)
A = (0.9, -0.1, 0.5, -0.05, 0.3, 0.7)
B = (-0.2, 0.15, 0.8, -0.6, 0.25, 0.01)
FC = (0.02, -0.4, 0.35, 0.45)


def weights_of(**leaves):
    return Variables({name: jnp.asarray(values, jnp.float32) for name, values in leaves.items()}, {})


def mask_of(variables, *never):
    return full_mask(variables.params, lambda path, leaf: path not in never)


def untrained(level, variables, mask):
    return Trained(variables, variables, variables)


def bits(mask):
    return {name: "".join(str(int(m)) for m in leaf) for name, leaf in mask.items() if leaf.ndim}


def masks_of(pruning, variables, mask, levels, key=KEY):
    """Runs some levels and returns the mask that each of them cut."""
    state, masks = pruning.init(variables, mask, key), []
    for _ in range(levels):
        state, _ = pruning.step(state)
        masks.append(state.mask)
    return masks


class Toy:
    """A training run that moves weights and statistics by known amounts and remembers what it was given."""

    def __init__(self):
        self.calls = []

    def __call__(self, level, variables, mask):
        self.calls.append((level, variables, mask))

        def moved(by):
            return jax.tree.map(lambda leaf: leaf + by, variables)

        return Trained(ticket=moved(2.0), last=moved(-3.0), rewind_point=moved(0.25 + level))


def toy_network():
    params = {"w": jnp.array([4.0, -1.0, 2.5, 0.5, -3.5]), "bias": jnp.array([0.1])}
    variables = Variables(params, {"mean": jnp.array([7.0])})
    return variables, mask_of(variables, "bias")


def assert_equal(tree, other):
    jax.tree.map(np.testing.assert_array_equal, tree, other)


def test_the_masks_of_torch_pruning_come_out_round_after_round():
    variables = weights_of(a=A, b=B, bias=(0.0, 0.0), fc=FC)
    masks = masks_of(imp(untrained), variables, mask_of(variables, "bias", "fc"), 4)
    assert [bits(mask) for mask in masks] == [
        {"a": "111011", "b": "111110"},
        {"a": "101011", "b": "101110"},
        {"a": "101011", "b": "001100"},
        {"a": "101001", "b": "001100"},
    ]


def test_the_masks_of_openlth_come_out_round_after_round():
    variables = weights_of(a=A, b=B, fc=FC)
    masks = masks_of(imp(untrained, rule=openlth_rule), variables, mask_of(variables), 4)
    assert [bits(mask) for mask in masks] == [
        {"a": "101011", "b": "101110", "fc": "0111"},
        {"a": "101001", "b": "001100", "fc": "0101"},
        {"a": "100001", "b": "001100", "fc": "0000"},
        {"a": "100000", "b": "001000", "fc": "0000"},
    ]


def test_the_masks_of_openlth_with_an_ignored_classifier_come_out_until_nothing_is_left():
    variables = weights_of(a=A, b=B, fc=FC)
    pruning = imp(untrained, rule=openlth_rule, never_pruned=4)
    masks = masks_of(pruning, variables, mask_of(variables, "fc"), 2)
    assert [bits(mask) for mask in masks] == [{"a": "101011", "b": "001110"}, {"a": "100001", "b": "001000"}]
    assert not any("1" in word for word in bits(masks_of(pruning, variables, mask_of(variables, "fc"), 3)[-1]).values())
    with pytest.raises(ValueError, match=r"^pruning left level 3 without weights; ask for fewer levels$"):
        masks_of(pruning, variables, mask_of(variables, "fc"), 4)


def test_the_first_level_trains_the_dense_network_from_its_initial_weights():
    variables, mask = toy_network()
    toy = Toy()
    pruning = imp(toy)
    state, ticket = pruning.step(pruning.init(variables, mask, KEY))
    level, given, given_mask = toy.calls[0]
    assert (level, state.level) == (0, 1)
    assert_equal((given, given_mask), (variables, mask))
    assert_equal(ticket.mask, mask)


def test_later_levels_train_from_the_masked_rewind_point_of_the_first_with_its_statistics():
    variables, mask = toy_network()
    toy = Toy()
    pruning = imp(toy)
    state = pruning.init(variables, mask, KEY)
    for _ in range(4):
        state, _ = pruning.step(state)
    assert [level for level, _, _ in toy.calls] == [0, 1, 2, 3]
    for _, given, mask in toy.calls[1:]:
        expected = np.where(mask["w"], np.asarray(variables.params["w"]) + 0.25, 0)
        np.testing.assert_array_equal(given.params["w"], expected)
        np.testing.assert_array_equal(given.params["bias"], variables.params["bias"] + 0.25)
        np.testing.assert_array_equal(given.stats["mean"], [7.25])


@pytest.mark.parametrize(("mask_from", "moved"), [("last", -3.0), ("ticket", 2.0)])
def test_without_rewinding_a_level_starts_from_the_weights_its_mask_was_cut_from(mask_from, moved):
    variables, mask = toy_network()
    toy = Toy()
    pruning = imp(toy, rewind=False, mask_from=mask_from)
    state = pruning.init(variables, mask, KEY)
    for _ in range(2):
        state, _ = pruning.step(state)
    _, given, mask = toy.calls[1]
    np.testing.assert_array_equal(given.params["w"], np.where(mask["w"], variables.params["w"] + moved, 0))
    np.testing.assert_array_equal(given.stats["mean"], [7.0 + moved])


@pytest.mark.parametrize(("mask_from", "expected"), [("last", "11011"), ("ticket", "10111")])
def test_the_mask_is_cut_from_the_weights_asked_for(mask_from, expected):
    # last: [1 -4 -.5 -2.5 -6.5], ticket: [6 1 4.5 2.5 -1.5]
    variables, mask = toy_network()
    (cut,) = masks_of(imp(Toy(), mask_from=mask_from), variables, mask, 1)
    assert bits(cut)["w"] == expected


def test_the_ticket_is_what_training_chose_whatever_the_mask_was_cut_from():
    variables, mask = toy_network()
    for mask_from in ("last", "ticket"):
        pruning = imp(Toy(), mask_from=mask_from)
        _, ticket = pruning.step(pruning.init(variables, mask, KEY))
        np.testing.assert_array_equal(ticket.variables.params["w"], variables.params["w"] + 2)
        np.testing.assert_array_equal(ticket.variables.stats["mean"], [9.0])


def test_a_ticket_is_zero_outside_its_mask_even_if_training_strays():
    variables, mask = toy_network()
    pruning = imp(Toy(), prune_fraction=0.4)
    state = pruning.init(variables, mask, KEY)
    for expected in (5, 3, 2):
        state, ticket = pruning.step(state)
        assert int(kept(ticket.mask)) == expected
        np.testing.assert_array_equal(ticket.variables.params["w"] != 0, ticket.mask["w"])


def test_the_dead_stay_dead_even_if_training_makes_them_large():
    def straying(level, variables, mask):
        strayed = variables._replace(params={"w": jnp.where(mask["w"], variables.params["w"], 100.0)})
        return Trained(strayed, strayed, variables)

    variables = weights_of(w=np.random.default_rng(0).normal(size=40))
    masks = masks_of(imp(straying), variables, mask_of(variables), 5)
    for larger, smaller in itertools.pairwise(masks):
        assert (smaller["w"] <= larger["w"]).all()
    assert [int(kept(mask)) for mask in masks] == [32, 26, 21, 17, 14]


def test_random_pruning_follows_the_key():
    variables = weights_of(a=np.ones(30), b=np.ones(10))
    pruning = imp(untrained, score=SCORES["random"], prune_fraction=0.5)
    runs = [masks_of(pruning, variables, mask_of(variables), 3, jax.random.key(k)) for k in (0, 0, 1)]
    assert_equal(runs[0], runs[1])
    assert bits(runs[0][0]) != bits(runs[2][0])
    assert [int(kept(mask)) for mask in runs[0]] == [20, 10, 5]


def test_random_scores_are_drawn_anew_at_every_level():
    drawn = []

    def score(key, params):
        drawn.append(random(key, params)["w"])
        return {"w": drawn[-1]}

    variables = weights_of(w=np.ones(20))
    masks_of(imp(untrained, score=score), variables, mask_of(variables), 3)
    assert len(drawn) == 3
    assert all((drawn[i] != drawn[j]).any() for i, j in ((0, 1), (1, 2), (0, 2)))


def test_layerwise_every_leaf_loses_its_own_share():
    variables = weights_of(big=np.arange(100, 120), small=np.arange(1, 11), bias=np.ones(3))
    pruning = imp(untrained, scope="layerwise", prune_fraction=0.3)
    masks = masks_of(pruning, variables, mask_of(variables, "bias"), 3)
    counts = [(int(mask["big"].sum()), int(mask["small"].sum())) for mask in masks]
    assert counts == [(14, 7), (10, 5), (7, 3)]
    assert bits(masks[0])["small"] == "0001111111"


def test_globally_the_leaf_of_small_weights_loses_most():
    variables = weights_of(big=np.arange(100, 120), small=np.arange(1, 11))
    (mask,) = masks_of(imp(untrained, prune_fraction=0.3), variables, mask_of(variables), 1)
    assert (int(mask["big"].sum()), int(mask["small"].sum())) == (20, 1)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("rewind", [True, False])
def test_a_state_handed_back_gives_identical_later_levels(score, rewind):
    variables, mask = toy_network()

    def run(pruning, state, levels):
        tickets = []
        for _ in range(levels):
            state, ticket = pruning.step(state)
            tickets.append(ticket)
        return state, tickets

    settings = {"score": SCORES[score], "rewind": rewind, "prune_fraction": 0.3}
    first = imp(Toy(), **settings)
    _, whole = run(first, first.init(variables, mask, KEY), 4)
    interrupted, _ = run(first, first.init(variables, mask, KEY), 2)
    resumed = jax.tree.map(lambda leaf: leaf if isinstance(leaf, int) else jnp.copy(leaf), interrupted)
    _, rest = run(imp(Toy(), **settings), resumed, 2)
    assert_equal(rest, whole[2:])


def test_a_step_leaves_the_state_it_was_given_alone():
    variables, mask = toy_network()
    pruning = imp(Toy())
    state = pruning.init(variables, mask, KEY)
    (after, ticket), (again, same) = pruning.step(state), pruning.step(state)
    assert_equal((after.mask, after.start, ticket), (again.mask, again.start, same))
    assert state.level == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prune_fraction": 0.0}, r"prune_fraction 0.0 is out of range; give a fraction in \(0, 1\)"),
        ({"prune_fraction": 20}, r"prune_fraction 20 is out of range; give a fraction in \(0, 1\)"),
        ({"scope": "local"}, r"unknown scope 'local'; did you mean 'global'\? \(known: global, layerwise\)"),
        ({"mask_from": "best"}, "unknown mask_from 'best'; choose one of last, ticket"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_in_one_line(settings, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        imp(untrained, **settings)


def test_a_first_level_without_a_rewind_point_is_refused_in_one_line():
    def forgetful(level, variables, mask):
        return Trained(variables, variables, None)

    variables, mask = toy_network()
    pruning = imp(forgetful)
    with pytest.raises(ValueError, match=r"^training level 0 gave no rewind point; capture .* at the rewind step$"):
        pruning.step(pruning.init(variables, mask, KEY))
    state, _ = imp(forgetful, rewind=False).step(pruning.init(variables, mask, KEY))
    assert state.level == 1


@pytest.mark.parametrize("scope", ["global", "layerwise"])
def test_pruning_the_last_weight_is_refused_in_one_line(scope):
    variables = weights_of(w=(1.0,))
    pruning = imp(untrained, prune_fraction=0.9, scope=scope)
    state, _ = pruning.step(pruning.init(variables, mask_of(variables), KEY))
    with pytest.raises(ValueError, match=r"^pruning left level 1 without weights; ask for fewer levels$"):
        pruning.step(state)
