"""State dicts in PyTorch's layout, without PyTorch."""

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lpjax.interop import Architecture, from_state_dict, split_masks, ticket_from_state_dict, to_state_dict, torch_keys
from lpjax.interop.recognize import template
from lpjax.sparsity import by_path, kernels
from lpjax.types import Ticket

TOTAL = 1206  # convolution weights of resnet8 with two channels
NETWORK = template(Architecture("resnet8", 3, 2, 3))


def same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.fixture(scope="module")
def network(make_ticket):
    ticket = make_ticket()
    return ticket.params, to_state_dict(ticket)


def test_keys_are_torchvision_s(network):
    _, state = network
    assert {"conv1.weight", "bn1.running_var", "layer2.0.conv1.weight", "fc.bias"} <= set(state)
    assert state["layer2.0.conv1.weight"].shape == (4, 2, 3, 3)
    assert state["fc.weight"].shape == (3, 8)
    assert torch_keys(template(Architecture("resnet18", 3, 2, 3))).params["layer2_0"]["downsample_0"] == {
        "kernel": "layer2.0.downsample.0.weight"
    }


def test_convolutions_are_output_first_and_linear_layers_transposed(network):
    variables, state = network
    kernel = variables.params["layer2_0"]["conv1"]["kernel"]
    assert state["layer2.0.conv1.weight"][3, 1, 2, 0] == kernel[2, 0, 1, 3]
    assert state["fc.weight"][2, 5] == variables.params["fc"]["kernel"][5, 2]


def test_a_state_dict_fills_the_network_exactly(network):
    variables, state = network
    extra = {"normalize.mean": np.zeros(3), "bn1.num_batches_tracked": np.array(3)}
    prefixed = {f"module.{name}": array for name, array in state.items()}
    for one in (state, state | extra, prefixed):
        same(from_state_dict(variables, one), variables)


def test_another_architecture_is_refused_in_one_line(network):
    variables, state = network
    lacking = {name: array for name, array in state.items() if name != "fc.bias"}
    for wrong, message in (
        (lacking, "'fc.bias' is missing"),
        (state | {"x.weight": np.ones(1)}, "'x.weight' is unknown"),
        (state | {"conv1.weight": np.zeros((4, 3, 3, 3))}, r"'conv1.weight': .*\(4, 3, 3, 3\).*\(2, 3, 3, 3\)"),
        (state | {"fc.weight": np.zeros((100, 8))}, r"'fc.weight': .*\(100, 8\).*\(3, 8\)"),
    ):
        with pytest.raises(ValueError, match=message) as refusal:
            from_state_dict(variables, wrong)
        assert "\n" not in str(refusal.value)


@given(kept=st.integers(1, TOTAL - 1), seed=st.integers(0, 99))
def test_tickets_survive_pytorch_and_back_to_the_bit(make_ticket, kept, seed):
    ticket = make_ticket(kept=kept, seed=seed)
    state = to_state_dict(ticket)
    assert sum(int(array.sum()) for name, array in state.items() if name.endswith("_mask")) == kept
    back = ticket_from_state_dict(NETWORK, state)
    same(back, ticket)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(back)} == {"float32", "bool"}


@given(kept=st.integers(1, TOTAL), seed=st.integers(0, 99))
def test_effective_weights_masks_and_statistics_survive_lpjax_and_back_to_the_bit(make_ticket, make_state, kept, seed):
    state = make_state(make_ticket(kept=kept, seed=seed), normalize=((0.5,) * 3, (0.25,) * 3))
    back = to_state_dict(ticket_from_state_dict(NETWORK, state), normalize=((0.5,) * 3, (0.25,) * 3))
    assert list(back) == list(state)
    (weights, masks), (weights_again, masks_again) = split_masks(state), split_masks(back)
    assert list(masks) == list(masks_again)
    same(weights, weights_again)
    same(masks, masks_again)


@pytest.mark.parametrize("prunable", [kernels, by_path("^layer2"), by_path("bias$")], ids=["kernels", "path", "biases"])
def test_what_has_a_mask_is_what_may_be_pruned(make_ticket, prunable):
    ticket = make_ticket(kept=5, prunable=prunable)
    same(ticket_from_state_dict(NETWORK, to_state_dict(ticket, prunable=prunable)), ticket)


def test_a_dense_ticket_is_plain_and_pruned_ones_can_be(make_ticket):
    dense, pruned = make_ticket(), make_ticket(kept=500)
    assert to_state_dict(dense).keys() == to_state_dict(pruned, form="plain").keys()
    same(ticket_from_state_dict(NETWORK, to_state_dict(dense)), dense)
    weights, _ = split_masks(to_state_dict(pruned))
    plain = to_state_dict(pruned, form="plain")
    same({name: plain[name] for name in weights}, weights)


def test_pruned_entries_stand_where_pytorch_puts_them(make_ticket):
    names = list(to_state_dict(make_ticket(kept=500), normalize=((0.5,) * 3, (0.25,) * 3)))
    assert names[:5] == ["normalize.mean", "normalize.std", "conv1.weight_orig", "conv1.weight_mask", "bn1.weight"]
    network = template(Architecture("vgg16", 10, 64, 3))
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), network)
    mask = jax.tree.map(lambda leaf: np.full(leaf.shape, len(leaf.shape) != 4), network)
    names = list(to_state_dict(Ticket(zeros, mask), normalize=((0.5,) * 3, (0.25,) * 3)))
    assert names[:4] == ["features.0.bias", "features.0.weight_orig", "features.0.weight_mask", "features.1.weight"]
    assert names[-3:] == ["classifier.bias", "normalize.mean", "normalize.std"]
    assert len(names) == 108


@pytest.mark.parametrize(("model", "dense", "pruned"), [("resnet18", 124, 144), ("resnet20", 118, 137)])
def test_state_dicts_have_as_many_entries_as_the_originals(make_ticket, model, dense, pruned):
    constants = ((0.5,) * 3, (0.25,) * 3)
    assert len(to_state_dict(make_ticket(model), normalize=constants)) == dense
    state = to_state_dict(make_ticket(model, kept=100), normalize=constants)
    assert len(state) == pruned
    counters = [array for name, array in state.items() if name.endswith("num_batches_tracked")]
    assert {(array.dtype.name, array.shape, int(array)) for array in counters} == {("int64", (), 0)}


def test_an_unknown_form_gets_a_suggestion(make_ticket):
    with pytest.raises(ValueError, match=r"form 'prune'.*'pruned'"):
        to_state_dict(make_ticket(), form="prune")
