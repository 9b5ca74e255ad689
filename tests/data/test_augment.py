import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lpjax import data

MEAN, STD = (0.49, 0.48, 0.44), (0.25, 0.24, 0.26)
AUGMENT = jax.jit(data.augmenter(MEAN, STD, crop=2))


def keys_of(seed, count):
    return jax.random.split(jax.random.key(seed), count)


def images_of(count, shape=(8, 8, 3), seed=0):
    return np.random.default_rng(seed).integers(1, 256, (count, *shape), np.uint8)


@functools.cache
def unmoved(**options):
    """Augments, and returns plain pixel values."""
    augment = jax.jit(data.augmenter((0.0,), (1 / 255,), **options))
    return lambda keys, images: np.rint(augment(keys, images)).astype(int)


def test_preprocessing_divides_by_255_and_normalizes():
    images = images_of(4)
    got = jax.jit(data.preprocessor(MEAN, STD))(images)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, (images / 255 - np.array(MEAN)) / np.array(STD), rtol=1e-5, atol=1e-6)


def test_without_crop_and_flip_augmentation_is_preprocessing():
    images = images_of(4)
    augment, preprocess = data.augmenter(MEAN, STD, crop=0, flip=False), data.preprocessor(MEAN, STD)
    np.testing.assert_array_equal(jax.jit(augment)(keys_of(0, 4), images), jax.jit(preprocess)(images))


@pytest.mark.slow
@given(
    crop=st.sampled_from([0, 2, 3]),
    flip=st.booleans(),
    pad=st.sampled_from(["zero", "reflect"]),
    seed=st.integers(0, 2**31),
)
@settings(deadline=None, max_examples=50)
def test_an_augmented_image_is_a_window_of_the_padded_image_or_its_mirror(crop, flip, pad, seed):
    height, width = 4, 6
    image = images_of(1, (height, width, 1), seed)
    moved = unmoved(crop=crop, flip=flip, pad=pad)(keys_of(seed, 1), image)[0]
    padded = np.pad(image[0], ((crop, crop), (crop, crop), (0, 0)), "constant" if pad == "zero" else "reflect")
    places = [(top, left) for top in range(2 * crop + 1) for left in range(2 * crop + 1)]
    windows = [padded[top : top + height, left : left + width] for top, left in places]
    candidates = windows + ([window[:, ::-1] for window in windows] if flip else [])
    assert any(np.array_equal(moved, candidate) for candidate in candidates)


@pytest.mark.slow
@given(seed=st.integers(0, 2**31), devices=st.sampled_from([2, 4]))
@settings(deadline=None, max_examples=25)
def test_an_image_depends_on_its_key_alone_however_the_batch_is_spread(seed, devices):
    keys, images = keys_of(seed, 12), images_of(12, seed=seed)
    whole = np.asarray(AUGMENT(keys, images))
    shards = zip(keys.reshape(devices, -1), np.split(images, devices), strict=True)
    np.testing.assert_array_equal(np.concatenate([AUGMENT(*shard) for shard in shards]), whole)
    order = np.random.default_rng(seed).permutation(12)
    np.testing.assert_array_equal(AUGMENT(keys[order], images[order]), whole[order])


def test_padding_is_black_before_normalization():
    white = np.full((200, 8, 8, 3), 255, np.uint8)
    moved = np.asarray(AUGMENT(keys_of(1, 200), white))
    values = np.unique(moved.reshape(-1, 3), axis=0)
    normalized = [(pixel - np.array(MEAN)) / np.array(STD) for pixel in (0, 1)]
    np.testing.assert_allclose(values, normalized, rtol=1e-5)


def test_all_places_and_mirrors_are_equally_likely():
    count, crop = 9000, 1
    image = np.arange(1, 10, dtype=np.uint8).reshape(1, 3, 3, 1)
    moved = unmoved(crop=crop)(keys_of(0, count), np.repeat(image, count, axis=0))
    kinds, counts = np.unique(moved.reshape(count, -1), axis=0, return_counts=True)
    assert len(kinds) == 2 * (2 * crop + 1) ** 2
    expected = count / len(kinds)
    assert np.abs(counts - expected).max() < 4.5 * np.sqrt(expected)  # binomial: 18 tries beyond 4.5 deviations, 1e-4


def test_half_of_the_images_are_mirrored():
    image = np.array([[[[1], [2]]]], np.uint8)
    moved = unmoved(crop=0)(keys_of(3, 4000), np.repeat(image, 4000, axis=0))
    assert abs((moved[:, 0, 0, 0] == 2).mean() - 0.5) < 4.5 * 0.5 / np.sqrt(4000)


def test_a_negative_crop_is_refused():
    with pytest.raises(ValueError, match="crop: got -1"):
        data.augmenter(MEAN, STD, crop=-1)
