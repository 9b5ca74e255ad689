import numpy as np
import pytest

from lpjax import data


def test_the_hold_out_is_pinned_and_subsets_are_nested(stored, tmp_path):
    stored(size=20)
    home = str(tmp_path / "home")
    everything = data.load("gray", data_dir=home, validation=5)
    assert everything.train.images[:, 0, 0, 0].tolist() == list(range(15))
    for train_images in (1, 7, 15):
        part = data.load("gray", data_dir=home, validation=5, train_images=train_images)
        assert part.train.images[:, 0, 0, 0].tolist() == list(range(train_images))
        assert part.validation.images[:, 0, 0, 0].tolist() == [15, 16, 17, 18, 19]
        np.testing.assert_array_equal(part.test.images, everything.test.images)
    assert data.load("gray", data_dir=home, validation=3).validation.labels.tolist() == [2, 0, 1]


def test_no_digit_is_in_two_splits():
    digits = data.load("digits", validation=300)
    splits = (digits.train, digits.validation, digits.test)
    assert [len(split.labels) for split in splits] == [700, 300, 797]
    from sklearn.datasets import load_digits

    pixels = np.concatenate([split.images for split in splits])
    assert len({image.tobytes() for image in pixels}) == len({image.tobytes() for image in load_digits().images})


def test_mean_and_deviation_are_those_of_the_training_images():
    digits = data.load("digits", validation=200, train_images=100)
    assert len(digits.mean) == 1
    np.testing.assert_allclose(digits.mean, (digits.train.images / 255).mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(digits.std, (digits.train.images / 255).std((0, 1, 2)), rtol=1e-12)


def test_channels_are_measured_apart_and_a_constant_one_stays_finite(images_folder, tmp_path):
    from PIL import Image

    for i, path in enumerate(sorted(images_folder.rglob("*.png"))):
        Image.fromarray(np.stack([np.full((4, 5), i * k, np.uint8) for k in (0, 1, 20)], axis=-1)).save(path)
    data.prepare_folder("pets", images_folder, tmp_path)
    dataset = data.load("pets", data_dir=str(tmp_path), validation=0)
    pixels = dataset.train.images / 255
    np.testing.assert_allclose(dataset.mean, pixels.mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(dataset.std, [1.0, *pixels.std((0, 1, 2))[1:]], rtol=1e-12)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"validation": 5000}, "validation: got 5000, .*999"),
        ({"validation": 1000}, "validation: got 1000"),
        ({"validation": -1}, "validation: got -1"),
        ({"validation": 200, "train_images": 801}, "train_images: got 801, .*800"),
        ({"validation": 200, "train_images": -1}, "train_images: got -1"),
    ],
)
def test_more_images_than_there_are_is_refused(asked, field):
    with pytest.raises(ValueError, match=field):
        data.load("digits", **asked)


def test_test_images_must_have_the_shape_of_training_images(stored, tmp_path):
    wide = {"image": data.encode_png(np.zeros((2, 3, 1), np.uint8)), "label": 0}
    stored(size=0, more=[wide, wide, wide])
    with pytest.raises(data.DataError, match=r"gray: .*\(2, 3, 1\).*\(2, 2, 1\)"):
        data.load("gray", data_dir=str(tmp_path / "home"), validation=1)
