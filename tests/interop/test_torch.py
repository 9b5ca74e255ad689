"""State dicts in PyTorch's layout, without PyTorch."""

import jax
import numpy as np
import pytest

from lpjax import models
from lpjax.interop import from_state_dict, torch_keys


@pytest.fixture(scope="module")
def network():
    module = models.build("resnet8", classes=10, width=4, projection=True)
    variables = models.initialise(module, jax.random.key(0), (8, 8, 1))
    state = {}
    for key, leaf in zip(jax.tree.leaves(torch_keys(variables)), jax.tree.leaves(variables), strict=True):
        array = np.asarray(leaf)
        state[key] = array.transpose({4: (3, 2, 0, 1), 2: (1, 0)}.get(array.ndim, range(array.ndim)))
    return variables, state


def test_keys_are_torchvision_s(network):
    _, state = network
    assert {"conv1.weight", "bn1.running_var", "layer2.0.downsample.0.weight", "fc.bias"} <= set(state)
    assert state["layer2.0.conv1.weight"].shape == (8, 4, 3, 3)
    assert state["fc.weight"].shape == (10, 16)


def test_a_state_dict_fills_the_network_exactly(network):
    variables, state = network
    extra = {"normalize.mean": np.zeros(3), "bn1.num_batches_tracked": np.array(3)}
    prefixed = {f"module.{name}": array for name, array in (state | extra).items() if not name.startswith("normalize")}
    for given in (state | extra, prefixed):
        jax.tree.map(np.testing.assert_array_equal, from_state_dict(variables, given), variables)


def test_another_architecture_is_refused_in_one_line(network):
    variables, state = network
    lacking = {name: array for name, array in state.items() if name != "fc.bias"}
    wrong = state | {"conv1.weight": np.zeros((4, 3, 3, 3))}
    for given, message in (
        (lacking, "lacks 'fc.bias'"),
        (state | {"x.weight": np.ones(1)}, "holds 'x.weight'"),
        (wrong, r"shape \(4, 3, 3, 3\), wanted \(4, 1, 3, 3\)"),
        (state | {"fc.weight": np.zeros((100, 16))}, r"shape \(100, 16\), wanted \(10, 16\)"),
    ):
        with pytest.raises(ValueError, match=message) as refusal:
            from_state_dict(variables, given)
        assert "\n" not in str(refusal.value)
