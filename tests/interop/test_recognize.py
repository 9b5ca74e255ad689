"""Architectures are told by their names and shapes."""

import jax
import numpy as np
import pytest

from lpjax import data, models
from lpjax.interop import Architecture, recognize, split_masks, to_state_dict
from lpjax.interop.recognize import dataset_of, template
from lpjax.sparsity import full_mask
from lpjax.types import Ticket

FIXED = {"vgg16": 64, "suptickets_vgg16": 64, "wide_resnet28_10": 16}  # channels of the first convolution


def weights(name, width=2, classes=3):
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), template(Architecture(name, classes, width, 3)))
    return split_masks(to_state_dict(Ticket(zeros, full_mask(zeros))))[0]


@pytest.mark.parametrize(
    "name", [name if name.startswith("resnet") else pytest.param(name, marks=pytest.mark.slow) for name in models.NAMES]
)
def test_every_network_is_recognized_with_its_classes_and_width(name):
    width = FIXED.get(name, 2)
    # These two differ in initial weights alone.
    first = {"suptickets_imagenet_resnet50": "imagenet_resnet50"}.get(name, name)
    assert recognize(weights(name, width=width, classes=7)) == Architecture(first, 7, width, 3)


@pytest.mark.slow
def test_the_nearest_network_is_named_with_what_differs():
    state = weights("resnet20")
    for wrong, message in (
        (state | {"layer9.0.conv1.weight": np.zeros(1)}, "resnet20, .*'layer9.0.conv1.weight' is unknown"),
        ({name: array for name, array in state.items() if name != "bn1.bias"}, "resnet20, .*'bn1.bias' is missing"),
        (state | {"bn1.bias": np.zeros(9)}, r"resnet20, .*'bn1.bias' has shape \(9,\).*\(2,\)"),
        ({"blocks.weight": np.zeros((3, 3))}, "first convolution"),
        ({"conv1.weight": np.zeros((3, 3, 3, 3))}, "even number of channels"),
    ):
        with pytest.raises(ValueError, match=message) as refusal:
            recognize(wrong)
        assert "\n" not in str(refusal.value)


def test_a_name_is_taken_at_its_word():
    state = weights("resnet20")
    assert recognize(state, "resnet20").model == "resnet20"
    with pytest.raises(ValueError, match="nearest is resnet8"):
        recognize(state, "resnet8")
    with pytest.raises(ValueError, match=r"model 'resnet9'.*'resnet8'"):
        recognize(state, "resnet9")


@pytest.mark.parametrize("name", data.PUBLISHED)
def test_normalization_tells_the_data_set(name):
    mean, std = np.array(data.PUBLISHED[name], np.float32)
    assert dataset_of({"normalize.mean": mean, "module.normalize.std": std.reshape(3, 1, 1)}) == name
    with pytest.raises(ValueError, match="normalize: got mean"):
        dataset_of({"normalize.mean": mean, "normalize.std": std + 1e-5})
    with pytest.raises(ValueError, match="normalize: got mean"):
        dataset_of({"normalize.mean": mean})


def test_a_network_may_leave_normalization_to_the_data():
    assert dataset_of({"conv1.weight": np.zeros(3)}) is None
