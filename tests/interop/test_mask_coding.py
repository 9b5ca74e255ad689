"""Masks come back as they were, in about as few bits as their entropy."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lpjax.interop.mask_coding import Coding, decode_mask, encode_mask, entropy_bits

masks = st.lists(st.booleans(), max_size=200).map(lambda values: np.array(values, bool))


def drawn(size, density, seed=0):
    return np.random.default_rng(seed).random(size) < density


@given(masks)
def test_any_mask_comes_back(mask):
    coding, content = encode_mask(mask)
    np.testing.assert_array_equal(decode_mask(coding, content, mask.size), mask)


@given(masks)
@example(np.array([False] * 4 + [True] + [False, True] * 2 + [True] * 7))
def test_no_mask_takes_more_than_a_bit_per_weight(mask):
    assert len(encode_mask(mask)[1]) <= -(-mask.size // 8)


@given(st.integers(1, 5000), st.floats(0, 1), st.integers(0, 9))
def test_sparse_and_dense_masks_come_back(size, density, seed):
    mask = drawn(size, density, seed)
    coding, content = encode_mask(mask)
    np.testing.assert_array_equal(decode_mask(coding, content, size), mask)


@pytest.mark.parametrize("density", [0.002, 0.02, 0.05, 0.1, 0.2, 0.3, 0.38, 0.45, 0.6, 0.8, 0.95, 0.999])
def test_a_drawn_mask_takes_at_most_five_percent_more_than_its_entropy(density):
    mask = drawn(200_000, density)
    assert 8 * len(encode_mask(mask)[1]) <= 1.05 * entropy_bits(mask)


@pytest.mark.parametrize("kept", [True, False])
def test_a_mask_of_one_value_takes_no_byte(kept):
    assert encode_mask(np.full((7, 9), kept))[1] == b""


def test_gaps_longer_than_any_low_bits_come_back():
    mask = np.zeros(2_000_000, bool)
    mask[[3, 4, 1_999_999]] = True
    coding, content = encode_mask(mask)
    np.testing.assert_array_equal(decode_mask(coding, content, mask.size), mask)
    assert len(content) < 20


def test_the_entropy_is_that_of_the_density():
    mask = np.arange(1000) < 110  # H(0.11) = 0.4999
    assert entropy_bits(mask) == pytest.approx(499.9, abs=0.1)
    assert entropy_bits(mask[:110]) == 0


def test_bytes_that_are_no_such_code_are_refused():
    coding, content = encode_mask(drawn(1000, 0.1))
    with pytest.raises(ValueError, match="places"):
        decode_mask(coding._replace(places=coding.places + 8), content + bytes(8), 1000)
    with pytest.raises(ValueError, match="coding"):
        decode_mask(Coding("huffman", True, 3, 2), content, 1000)
