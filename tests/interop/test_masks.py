"""Weights are multiplied by their masks, whatever lies under them."""

import numpy as np
import pytest

from lpjax.interop import split_masks

WEIGHT = np.array([3.0, -5.0, 7.0], np.float32)


@pytest.mark.parametrize("kind", [np.float32, np.int32, bool])
@pytest.mark.parametrize("prefix", ["", "module.", "model.", "module.model."])
def test_what_lies_under_a_mask_does_not_matter(kind, prefix):
    state = {f"{prefix}conv1.weight_orig": WEIGHT, f"{prefix}conv1.weight_mask": np.array([1, 0, 1], kind)}
    weights, masks = split_masks(state)
    assert weights["conv1.weight"].tolist() == [3, 0, 7]
    assert masks["conv1.weight"].tolist() == [True, False, True]
    assert weights["conv1.weight"].dtype == np.float32


def test_constants_and_counters_are_left_out():
    weights, masks = split_masks({"normalize.std": WEIGHT, "bn1.num_batches_tracked": np.array(3), "fc.bias": WEIGHT})
    assert list(weights) == ["fc.bias"]
    assert masks == {}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"fc.weight_orig": WEIGHT}, "'fc.weight_mask' is missing"),
        ({"fc.weight_mask": WEIGHT}, "mask of 'fc.weight': there is no"),
        ({"fc.weight_orig": WEIGHT, "fc.weight_mask": np.ones(2)}, r"mask of 'fc.weight': .*\(2,\).*\(3,\)"),
        ({"fc.weight_orig": WEIGHT, "fc.weight_mask": np.array([0, 1, 0.5])}, "mask of 'fc.weight': got 0.5"),
    ],
)
def test_a_broken_mask_is_refused_in_one_line(state, message):
    with pytest.raises(ValueError, match=message):
        split_masks(state)
