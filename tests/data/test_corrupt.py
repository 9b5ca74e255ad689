"""Corrupted images made here: what all corruptions have in common, and closed forms of some."""

import colorsys
import io
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from lpjax import data
from lpjax.data.effects import digital, geometry, spatter, weather
from lpjax.data.effects.blur import along, defocus_blur, glass_blur, smooth
from lpjax.data.effects.draws import draws
from lpjax.data.effects.table import TABLE

NAMES = tuple(TABLE)
GROWS = sorted(set(NAMES) - {"saturate", "spatter", "elastic_transform", "glass_blur"})  # these change kind on the way


def photographs(count=8, side=32, channels=3, seed=0):
    noise = np.random.default_rng(seed).normal(size=(count, side, side, channels))
    smooth = ndimage.gaussian_filter(noise, (0, 2, 2, 0), mode="wrap")
    return np.clip(128 + 50 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def constant(value, count=3, side=16, channels=3):
    return np.full((count, side, side, channels), value, np.uint8)


def compressed(image, quality):
    Image.fromarray(image).save(buffer := io.BytesIO(), "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def distance(name, severity, images):
    return np.abs(data.corrupt(images, name, severity).astype(float) - images).mean()


def test_all_are_made_but_frost():
    assert set(NAMES) == {*data.BENCHMARK, *data.EXTRA} - {"frost"}
    assert (len(data.BENCHMARK), len(data.EXTRA), data.SEVERITIES) == (15, 4, (1, 2, 3, 4, 5))
    assert all(len(corruption.parameters) == 5 for corruption in TABLE.values())


@pytest.mark.parametrize("name", NAMES)
def test_images_stay_images_of_any_shape(name):
    for shape in ((3, 32, 32, 3), (2, 8, 8, 1), (2, 12, 20, 3), (1, 40, 9, 1), (0, 8, 8, 3)):
        images = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
        before = images.copy()
        for severity in (1, 3, 5):
            corrupted = data.corrupt(images, name, severity)
            assert (corrupted.shape, corrupted.dtype) == (shape, np.uint8)
        np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("name", NAMES)
def test_an_image_depends_on_its_index_alone_whatever_else_is_drawn(name):
    images = photographs(70)  # more than one chunk
    whole = data.corrupt(images, name, 4)
    np.random.seed(7)  # noqa: NPY002
    np.testing.assert_array_equal(data.corrupt(images, name, 4), whole)
    for some in (1, 5, 66):
        np.testing.assert_array_equal(data.corrupt(images[:some], name, 4), whole[:some])
    others = np.concatenate([images[:3], photographs(67, seed=1)])
    np.testing.assert_array_equal(data.corrupt(others, name, 4)[:3], whole[:3])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("severity", [1, 5])
def test_another_first_image_leaves_the_others_alone(name, severity):
    images = photographs(6)
    whole = data.corrupt(images, name, severity)
    for first in (photographs(1, seed=1)[0], constant(0, 1, 32)[0], constant(255, 1, 32)[0]):
        changed = data.corrupt(np.concatenate([first[None], images[1:]]), name, severity)
        np.testing.assert_array_equal(changed[1:], whole[1:])


@pytest.mark.parametrize("name", NAMES)
def test_chance_follows_the_seed_and_differs_between_images_or_plays_no_part(name):
    images = np.repeat(photographs(1), 70, axis=0)
    first, second = (data.corrupt(images, name, 3, seed=seed) for seed in (0, 1))
    by_chance = name not in {
        *("gaussian_blur", "defocus_blur", "zoom_blur", "brightness", "contrast", "saturate", "pixelate"),
        "jpeg_compression",
    }
    assert (first != second).any() == by_chance
    assert (first[0] != first[1]).any() == by_chance
    assert (first[:6] != first[64:]).any() == by_chance


@pytest.mark.parametrize("name", GROWS)
def test_the_severer_the_farther_from_the_clean_image(name):
    images = photographs(40)
    far = [distance(name, severity, images) for severity in data.SEVERITIES]
    assert all(later > 0.99 * earlier for earlier, later in itertools.pairwise(far))  # motion blurs 3 and 4 are alike
    assert far[-1] > 1.5 * far[0]


@pytest.mark.parametrize("name", NAMES)
def test_every_corruption_changes_images_but_not_beyond_recognition(name):
    images = photographs(40)
    for severity in data.SEVERITIES:
        assert 0.05 < distance(name, severity, images) < 70


@pytest.mark.parametrize(
    "name", ["gaussian_blur", "glass_blur", "defocus_blur", "motion_blur", "zoom_blur", "pixelate"]
)
@pytest.mark.parametrize("value", [0, 77, 255])
def test_blur_leaves_a_constant_image_alone(name, value):
    for severity in data.SEVERITIES:
        corrupted = data.corrupt(constant(value), name, severity).astype(int)
        assert np.abs(corrupted - value).max() <= 1  # truncation


def test_noise_has_the_published_strength():
    gray = constant(128, count=20, side=32, channels=1)
    at = 128 / 255
    expected = {
        "gaussian_noise": [0.04, 0.06, 0.08, 0.09, 0.10],
        "shot_noise": [np.sqrt(at / photons) for photons in (500, 250, 100, 75, 50)],
        "speckle_noise": [at * sigma for sigma in (0.06, 0.1, 0.12, 0.16, 0.2)],
        "impulse_noise": [np.sqrt(share * ((1 - at) ** 2 + at**2) / 2) for share in (0.01, 0.02, 0.03, 0.05, 0.07)],
    }
    for name, deviations in expected.items():
        for severity, deviation in zip(data.SEVERITIES, deviations, strict=True):
            noise = data.corrupt(gray, name, severity) / 255 - at
            assert noise.std() == pytest.approx(deviation, rel=0.05)
            assert abs(noise.mean()) < 4 * deviation / np.sqrt(noise.size) + 1 / 255


def test_impulses_are_black_or_white_in_equal_parts():
    corrupted = data.corrupt(constant(100, count=50, side=32), "impulse_noise", 5)
    black, white = (corrupted == 0).mean(), (corrupted == 255).mean()
    assert (corrupted == 100).mean() == pytest.approx(0.93, abs=0.005)
    assert black == pytest.approx(0.035, abs=0.003)
    assert white == pytest.approx(0.035, abs=0.003)


def test_contrast_draws_towards_the_mean_of_image_and_channel():
    images = photographs()
    mean = (images / 255).mean((1, 2), keepdims=True)
    for severity, factor in zip(data.SEVERITIES, (0.75, 0.5, 0.4, 0.3, 0.15), strict=True):
        wanted = ((images / 255 - mean) * factor + mean) * 255
        np.testing.assert_array_equal(data.corrupt(images, "contrast", severity), wanted.astype(np.uint8))


@given(value=st.integers(0, 255), severity=st.sampled_from(data.SEVERITIES), channels=st.sampled_from((1, 3)))
def test_brightness_of_gray_is_a_sum(value, severity, channels):
    corrupted = data.corrupt(constant(value, channels=channels, side=4), "brightness", severity).astype(int)
    wanted = min(value + 255 * (0.05, 0.1, 0.15, 0.2, 0.3)[severity - 1], 255)
    assert np.abs(corrupted - wanted).max() <= 1
    assert (corrupted == 255).all() == (wanted == 255)


def test_brightness_and_saturation_are_those_of_hsv():
    pixels = np.random.default_rng(0).integers(0, 256, (1, 5, 5, 3)).astype(np.uint8)
    pixels[0, 0, 0], pixels[0, 0, 1] = 0, 90
    bright, vivid = (data.corrupt(pixels, name, 5).reshape(-1, 3) for name in ("brightness", "saturate"))
    for pixel, more, color in zip(pixels.reshape(-1, 3) / 255, bright, vivid, strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
        wanted = colorsys.hsv_to_rgb(hue, saturation, min(value + 0.3, 1))
        np.testing.assert_allclose(more, np.multiply(wanted, 255), atol=1)
        wanted = colorsys.hsv_to_rgb(hue, min(saturation * 2.5 + 0.2, 1), value)
        np.testing.assert_allclose(color, np.multiply(wanted, 255), atol=1)


def test_compression_is_pillows():
    images = photographs()
    for severity, quality in zip(data.SEVERITIES, (80, 65, 58, 50, 40), strict=True):
        for image, corrupted in zip(images, data.corrupt(images, "jpeg_compression", severity), strict=True):
            np.testing.assert_array_equal(corrupted, compressed(image, quality))


def test_large_pixels_are_means():
    images = np.kron(np.random.default_rng(0).integers(0, 256, (1, 2, 2, 3)), np.ones((1, 10, 10, 1))).astype(np.uint8)
    np.testing.assert_array_equal(digital.pixelate(images / 255, draws(0, "", 1, 0), 0.1) * 255, images)
    small = images[:, ::10, ::10] / 255
    assert digital.pixelate(small, draws(0, "", 1, 0), 0.5)[0, 0, 0] * 255 == pytest.approx(
        small.mean((0, 1, 2)) * 255, abs=1
    )


def test_a_zoomed_image_is_scipys_cut_from_the_center():
    image = photographs(1, channels=1)[0, :, :, 0].astype(float)
    for factor in (1.07, 1.5, 2.25):
        inside = int(np.ceil(32 / factor))
        start = (32 - inside) // 2
        cut = image[start : start + inside, start : start + inside]
        large = ndimage.zoom(cut, factor, order=1)
        over = (len(large) - 32) // 2
        matrix = geometry.zoom_matrix(32, factor)
        np.testing.assert_allclose(matrix @ image @ matrix.T, large[over : over + 32, over : over + 32], atol=1e-9)


def test_glass_is_the_loop_it_stands_for():
    images = photographs(3, side=9) / 255
    numbers = draws(0, "glass", 1, 0)
    pixels = np.floor(smooth(images, 0.4) * 255) / 255
    for _ in range(2):
        steps = next(numbers).integers(-1, 1, (3, 9, 9, 2))
        for i in range(3):
            for row in range(8, 1, -1):
                for column in range(8, 1, -1):
                    down, right = steps[i, row, column]
                    pixels[i, row, column] = pixels[i, row + down, column + right]
    np.testing.assert_array_equal(glass_blur(images, draws(0, "glass", 1, 0), 0.4, 1, 2), smooth(pixels, 0.4))


def test_motion_to_the_right_is_one_side_of_a_gaussian():
    dots = np.zeros((4, 41, 41, 1))
    dots[:, 20, 20] = 1
    weights = np.exp(-(np.arange(9) ** 2) / 8)
    weights /= weights.sum()
    right, down, left, up = along(dots, np.array([0, 90, 180, 270]), 4, 2)[..., 0]
    np.testing.assert_allclose(right[20, 12:21], weights[::-1])  # what lies to the right is carried to the left
    np.testing.assert_allclose(down[12:21, 20], weights[::-1])
    np.testing.assert_allclose(left[20, 20:29], weights)
    np.testing.assert_allclose(up[20:29, 20], weights)
    assert right.sum() == pytest.approx(1)


def test_a_small_disk_is_its_soft_edge_alone():
    dot = np.zeros((1, 9, 9, 1))
    dot[0, 4, 4] = 1
    line = np.exp(-np.array([1, 0, 1]) / (2 * 0.4**2))
    line /= line.sum()
    np.testing.assert_allclose(defocus_blur(dot, draws(0, "", 1, 0), 0.3, 0.4)[0, 3:6, 3:6, 0], np.outer(line, line))
    disk = defocus_blur(dot, draws(0, "", 1, 0), 1, 0.01)[0, ..., 0]
    np.testing.assert_allclose(disk[3:6, 3:6], np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]]) / 5, atol=1e-9)


@pytest.mark.parametrize(("fold", "mode"), [(geometry.mirror, "mirror"), (geometry.reflect, "reflect")])
def test_reading_elsewhere_is_scipys_linear_interpolation(fold, mode):
    images = photographs(2, side=7) / 255
    places = np.random.default_rng(0).uniform(-12, 20, (2, 2, 7, 7))
    read = geometry.sample(images, places[0], places[1], fold)
    for i in range(2):
        for channel in range(3):
            wanted = ndimage.map_coordinates(images[i, ..., channel], places[:, i], order=1, mode=mode)
            np.testing.assert_allclose(read[i, ..., channel], wanted, atol=1e-9)


def test_without_reach_and_jitter_nothing_moves():
    images = photographs() / 255
    np.testing.assert_allclose(digital.elastic_transform(images, draws(0, "", 1, 0), 0, 1, 0), images, atol=1e-9)


def test_clouds_fill_the_unit_interval_and_grow_rougher_with_slower_decay():
    smooth, rough = (weather.plasma(draws(0, "fog", 1, 0), 50, 32, decay) for decay in (3, 1.75))
    for clouds in (smooth, rough):
        np.testing.assert_allclose(clouds.min((1, 2)), 0)
        np.testing.assert_allclose(clouds.max((1, 2)), 1)
    assert np.abs(np.diff(smooth, axis=2)).mean() < np.abs(np.diff(rough, axis=2)).mean()


def test_snow_whitens_water_brightens_and_mud_darkens():
    images = photographs(40)
    for severity in data.SEVERITIES:
        assert (data.corrupt(images, "snow", severity) >= images.astype(int) - 1).all()
    for severity in (1, 2, 3):
        wet = data.corrupt(images, "spatter", severity).astype(int) - images
        assert wet.min() >= 0
        assert 0.005 < (wet > 8).mean() < 0.5
    for severity in (4, 5):
        muddy = data.corrupt(images, "spatter", severity)
        assert (muddy != images).any(-1).mean() == pytest.approx(0.08, abs=0.06)
        assert ((muddy == [63, 42, 20]).all(-1) | (muddy == images).all(-1)).mean() > 0.85


DROPS = """
00000000565005 ........###..#
00000000000000 ..............
00000000000000 ..............
00000000000000 .###..........
05650000000000 ...#..........
05000000000000 ..##..........
00000005000000 ......###.....
00000056500000 .....##.##....
00000566655000 ....##....##..
00005666666500 ....#......#..
"""


def test_edges_are_those_of_opencv():
    drawn = [line.split() for line in DROPS.split("\n") if line]
    drops = np.array([[32.0 * int(digit) for digit in digits] for digits, _ in drawn])
    wanted = np.array([[mark == "#" for mark in marks] for _, marks in drawn])
    np.testing.assert_array_equal(spatter.edges(drops[None])[0], wanted)


def test_drops_without_an_edge_do_no_harm():
    assert np.isfinite(TABLE["spatter"].effect(photographs(2) / 255, draws(0, "", 1, 0), 0, 0.01, 1, 0.7, 0.5, 0)).all()


def test_what_cannot_be_corrupted_is_refused():
    images = constant(1)
    with pytest.raises(ValueError, match="corruption: 'frost'"):
        data.corrupt(images, "frost", 1)
    with pytest.raises(ValueError, match=r"corruption 'foggy'.* 'fog'"):
        data.corrupt(images, "foggy", 1)
    for severity in (0, 6):
        with pytest.raises(ValueError, match=f"severity: got {severity}"):
            data.corrupt(images, "fog", severity)
    with pytest.raises(ValueError, match="seed: got -1"):
        data.corrupt(images, "fog", 1, seed=-1)
    for wrong in (images / 255, images[0], images[..., :2], images[:, :0]):
        with pytest.raises(ValueError, match="images: got"):
            data.corrupt(wrong, "fog", 1)
