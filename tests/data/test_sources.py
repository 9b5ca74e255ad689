import hashlib

import numpy as np
import pytest

from lpjax import data
from lpjax.data.directory import pinned_order
from lpjax.data.sources import open_source


def test_the_digits_are_shuffled_in_one_pinned_order():
    splits = open_source("digits")
    labels = np.concatenate([split.read(0, split.size).labels for split in splits])
    assert [split.size for split in splits] == [1000, 797]
    assert hashlib.sha256(labels.astype("<i4").tobytes()).hexdigest().startswith("14064e7fef5fc736")


def test_the_digits_are_real_images_scaled_to_a_byte():
    from sklearn.datasets import load_digits

    train = open_source("digits")[0].read(0, 1000)
    assert (train.images.dtype, train.labels.dtype) == (np.uint8, np.int32)
    assert train.images.shape == (1000, 8, 8, 1)
    assert (train.images.min(), train.images.max()) == (0, 255)
    first = pinned_order(str(i) for i in range(1797))[0]
    np.testing.assert_allclose(train.images[0, ..., 0] / 255 * 16, load_digits().images[first], atol=16 / 255)


def test_every_digit_is_in_both_splits():
    for split in open_source("digits"):
        assert min(np.bincount(split.read(0, split.size).labels)) > 0.08 * split.size


@pytest.mark.parametrize(("name", "version"), [("gray", "1.1.0"), ("gray:1.0.0", "1.0.0"), ("gray:1.1.0", "1.1.0")])
def test_a_name_means_the_newest_version_unless_it_says_which(name, version, stored, tmp_path):
    stored(version="1.0.0", size=5)
    stored(version="1.1.0", size=6)
    assert open_source(name, str(tmp_path / "home"))[0].size == {"1.0.0": 5, "1.1.0": 6}[version]


def test_an_unknown_name_is_refused_with_a_suggestion(stored, tmp_path):
    stored()
    known = "cifar10, cifar100, digits, gray.*home$"
    for name in ("grays", "/data/gray"):
        with pytest.raises(ValueError, match=f"data set {name!r}.*{known}"):
            open_source(name, str(tmp_path / "home"))


@pytest.mark.parametrize("name", ["mnist", "cifar10_corrupted/fog_1", "imagenet2012:5.1.0"])
def test_a_set_of_tfds_that_is_not_prepared_says_how_to(name, tmp_path):
    with pytest.raises(data.DataError, match=f"{name} .*{tmp_path}.*tfds build {name} "):
        open_source(name, str(tmp_path))
