"""How many weights a level keeps: integer tables computed with the originals' own arithmetic."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpjax.tickets import RULES, openlth_rule, torch_rule

TORCH = {
    "resnet18": (
        *(11159232, 8927386, 7141909, 5713527, 4570822, 3656658, 2925326, 2340261, 1872209, 1497767, 1198214),
        *(958571, 766857, 613486, 490789, 392631, 314105, 251284, 201027),
    ),
    "vgg16": (
        *(14710464, 11768371, 9414697, 7531758, 6025406, 4820325, 3856260, 3085008, 2468006, 1974405, 1579524),
        *(1263619, 1010895, 808716, 646973, 517578, 414062, 331250, 265000),
    ),
    "resnet20s": (
        *(267696, 214157, 171326, 137061, 109649, 87719, 70175, 56140, 44912, 35930, 28744, 22995, 18396, 14717),
        *(11774, 9419, 7535, 6028, 4822),
    ),
}
OPENLTH = {
    "imagenet_resnet18": (
        *(11678912, 9343128, 7474501, 5979599, 4783678, 3826941, 3061551, 2449239, 1959390, 1567511, 1254007),
    ),
    "imagenet_resnet34": (
        *(21779648, 17423717, 13938972, 11151176, 8920939, 7136750, 5709399, 4567518, 3654013, 2923209, 2338566),
    ),
}


@pytest.mark.parametrize("network", TORCH)
def test_torch_keeps_the_originals_counts_at_every_level(network):
    for before, after in itertools.pairwise(TORCH[network]):
        assert torch_rule(before, 0.2) == after


@pytest.mark.parametrize("network", OPENLTH)
def test_openlth_keeps_the_originals_counts_at_every_level(network):
    for before, after in itertools.pairwise(OPENLTH[network]):
        assert openlth_rule(before, 0.2) == after


def test_openlth_removes_one_weight_more_than_a_fifth():
    assert openlth_rule(16, 0.2) == 11
    assert torch_rule(16, 0.2) == 13


def test_openlth_counts_weights_that_it_never_prunes():
    assert [openlth_rule(n, 0.2, 4) for n in (12, 7, 3)] == [7, 3, 0]


def test_torch_does_not_count_weights_that_it_never_prunes():
    assert torch_rule(100, 0.2, never_pruned=1000) == torch_rule(100, 0.2)


@pytest.mark.parametrize("rule", RULES.values())
@given(
    kept=st.integers(0, 2**31 - 1),
    fraction=st.floats(0, 1, exclude_min=True, exclude_max=True),
    ignored=st.integers(0, 2**20),
)
def test_a_rule_gives_an_integer_between_none_and_all(rule, kept, fraction, ignored):
    after = rule(kept, fraction, ignored)
    assert type(after) is int
    assert 0 <= after <= kept
