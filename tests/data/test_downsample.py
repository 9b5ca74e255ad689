"""Smaller copies of data sets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from lpjax import data
from lpjax.data.stored import class_names, open_splits
from lpjax.errors import UserError

IMAGES = hnp.arrays(np.uint8, st.tuples(st.just(2), st.just(6), st.just(12), st.sampled_from((1, 3))))


@given(IMAGES, st.sampled_from((1, 2, 3, 6)))
def test_every_pixel_is_the_mean_of_its_square(images, factor):
    smaller = data.downsample(images, factor)
    assert smaller.dtype == np.uint8
    assert smaller.shape == (2, 6 // factor, 12 // factor, images.shape[-1])
    square = images[1, -factor:, :factor]
    np.testing.assert_array_equal(smaller[1, -1, 0], np.rint(square.astype(float).mean((0, 1))))


@pytest.mark.parametrize("factor", [0, -2, 4, 12])
def test_squares_that_do_not_tile_the_images_are_refused(factor):
    with pytest.raises(UserError, match=f"factor: got {factor}, .*6 and 12"):
        data.downsample(np.zeros((1, 6, 12, 3), np.uint8), factor)


def test_a_smaller_copy_keeps_order_labels_and_names(images_folder, tmp_path):
    draws = np.random.default_rng(0)
    for path in sorted(images_folder.rglob("*.png")):
        Image.fromarray(draws.integers(0, 256, (4, 6, 3), np.uint8)).save(path)
    home = tmp_path / "whole"
    data.prepare_folder("pets", images_folder, home)
    target = data.prepare_downsampled("pets", 2, tmp_path, home)
    assert target == tmp_path / "pets_2x3" / "1.0.0"
    before = data.load("pets", data_dir=str(home), validation=1)
    after = data.load("pets_2x3", data_dir=str(tmp_path), validation=1)
    for split in ("train", "validation", "test"):
        whole, smaller = getattr(before, split), getattr(after, split)
        np.testing.assert_array_equal(smaller.images, data.downsample(np.asarray(whole.images), 2))
        np.testing.assert_array_equal(smaller.labels, whole.labels)
    whole, smaller = (open_splits(directory)[0] for directory in (home / "pets" / "1.0.0", target))
    assert class_names(smaller) == class_names(whole) == ["cat", "dog"]
    assert data.prepare_downsampled("pets", 2, tmp_path, home) == target


def test_a_data_set_that_is_always_in_memory_has_no_smaller_copy(tmp_path):
    with pytest.raises(UserError, match="source: got 'digits'"):
        data.prepare_downsampled("digits", 2, tmp_path)
