"""Streams: crops as torchvision's, the same batches for whoever reads them, and nothing left behind."""

import errno
import io
import math
import multiprocessing
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lpjax import data
from lpjax.data import stream
from lpjax.data.crop import center_crop, draw_box, random_crop
from lpjax.data.stored import read_image

AREA, RATIO = (0.1, 1.0), (0.8, 1.25)
CROP = data.Crop(16, 18, AREA, RATIO)
KEY = (3, 5)
SIZE = 44


def photograph(draw, width, height):
    """Colors that change slowly, so that JPEG keeps them and a shift is seen."""
    small = draw.integers(0, 256, (4, 4, 3), np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def encoded(image, kind="jpeg"):
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def write_pictures(home, name, files):
    import tensorflow_datasets as tfds

    features = tfds.features.FeaturesDict(
        {"image": tfds.features.Image(shape=(None, None, 3)), "label": tfds.features.ClassLabel(num_classes=3)}
    )
    splits = {
        split: [{"image": file, "label": i % 3} for i, file in enumerate(parts)] for split, parts in files.items()
    }
    data.write_directory(home, name, "1.0.0", features, splits, "")
    return data.open_image_splits(name, str(home))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A training and a test split of images of many sizes, one of them gray, one CMYK, one with opacity."""
    draw = np.random.default_rng(0)
    images = [photograph(draw, *draw.integers(12, 60, 2).tolist()) for _ in range(SIZE + 5)]
    files = [encoded(image) for image in images]
    files[1], files[2] = encoded(images[1].convert("L")), encoded(images[2].convert("CMYK"))
    files[3] = encoded(images[3].convert("RGBA"), "png")
    return write_pictures(tmp_path_factory.mktemp("tfds"), "many", {"train": files[:SIZE], "test": files[SIZE:]})


@pytest.fixture(scope="module")
def load(pictures):
    return data.ImageLoader(pictures[0], CROP, KEY)


def batches_of(rows, size=8):
    return [np.array(rows[i : i + size]) for i in range(0, len(rows), size)]


def assert_same(some, others):
    assert len(some) == len(others)
    for a, b in zip(some, others, strict=True):
        np.testing.assert_array_equal(a.images, b.images)
        np.testing.assert_array_equal(a.labels, b.labels)


# Crops


def torchvision_box(width, height, area, ratio, draw):
    """RandomResizedCrop.get_params, step by step, as (left, top, width, height)."""
    for _ in range(10):
        target = height * width * draw.uniform(area[0], area[1])
        aspect = math.exp(draw.uniform(math.log(ratio[0]), math.log(ratio[1])))
        w, h = round(math.sqrt(target * aspect)), round(math.sqrt(target / aspect))
        if 0 < w <= width and 0 < h <= height:
            i = draw.integers(0, height - h + 1)
            return draw.integers(0, width - w + 1), i, w, h
    actual = width / height
    if actual < min(ratio):
        w, h = width, round(width / min(ratio))
    elif actual > max(ratio):
        w, h = round(height * max(ratio)), height
    else:
        w, h = width, height
    return (width - w) // 2, (height - h) // 2, w, h


sides = st.integers(1, 600)


@given(
    sides, sides, st.integers(0, 99), st.sampled_from([(AREA, RATIO), ((0.08, 1), (3 / 4, 4 / 3)), ((1, 1), (1, 1))])
)
def test_a_box_is_drawn_as_torchvision_draws_it_and_lies_inside(width, height, seed, bounds):
    box = draw_box(width, height, *bounds, np.random.default_rng(seed))
    left, top, right, bottom = box
    expected = torchvision_box(width, height, *bounds, np.random.default_rng(seed))
    assert (left, top, right - left, bottom - top) == expected
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height


def test_areas_are_uniform_and_ratios_log_uniform_where_all_fit():
    draw = np.random.default_rng(0)
    boxes = np.array([draw_box(1000, 1000, (0.1, 0.5), RATIO, draw) for _ in range(4000)])
    across, down = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    area, ratio = across * down / 1e6, np.log(across / down)
    quarters = np.linspace(0, 1, 5)[1:-1]
    np.testing.assert_allclose(np.quantile(area, quarters), 0.1 + 0.4 * quarters, atol=0.015)
    np.testing.assert_allclose(np.quantile(ratio, quarters), np.log(1.25) * (2 * quarters - 1), atol=0.02)
    room = boxes[:, 0] / (1000 - across)  # where in the room left over
    np.testing.assert_allclose(np.quantile(room, quarters), quarters, atol=0.03)


@pytest.mark.parametrize(("shape", "box"), [((100, 10), (44, 0, 56, 10)), ((10, 100), (0, 44, 10, 56))])
def test_where_no_box_fits_the_largest_central_one_is_taken(shape, box):
    assert draw_box(*shape, (1, 1), RATIO, np.random.default_rng(0)) == box


def test_a_random_crop_is_the_box_resized_with_antialiasing_and_blind_to_pixels_outside():
    image = photograph(np.random.default_rng(1), 90, 70)
    box = draw_box(90, 70, AREA, RATIO, np.random.default_rng(2))
    seen = random_crop(image, CROP, np.random.default_rng(2))
    expected = np.asarray(image.crop(box).resize((16, 16), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(seen, expected)
    blackened = Image.new("RGB", image.size)
    blackened.paste(image.crop(box), box[:2])
    np.testing.assert_array_equal(random_crop(blackened, CROP, np.random.default_rng(2)), expected)


@given(st.integers(16, 80), st.integers(16, 80))
def test_the_center_is_cut_out_as_torchvision_rounds_it(width, height):
    """Resize: the longer side is cut down to whole pixels; CenterCrop: halves are rounded to even."""
    image = photograph(np.random.default_rng(0), width, height)
    if width <= height:
        w, h = 18, int(18 * height / width)
    else:
        w, h = int(18 * width / height), 18
    top, left = round((h - 16) / 2.0), round((w - 16) / 2.0)
    resized = np.asarray(image.resize((w, h), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(center_crop(image, CROP), resized[top : top + 16, left : left + 16])


def test_gray_images_keep_one_channel():
    gray = Image.new("L", (30, 20), 7)
    assert random_crop(gray, CROP, np.random.default_rng(0)).tolist() == np.full((16, 16, 1), 7).tolist()
    assert center_crop(gray, CROP).shape == (16, 16, 1)


# Streams


def test_every_image_comes_where_its_row_stands_and_is_cut_by_key_and_row_alone(load):
    rows = np.random.default_rng(7).permutation(SIZE)
    seen = list(data.read_ahead(load, batches_of(rows)))
    assert [len(batch.labels) for batch in seen] == [8] * 5 + [4]
    for batch, expected in zip(seen, batches_of(rows), strict=True):
        assert batch.images.dtype == np.uint8
        assert batch.labels.dtype == np.int32
        np.testing.assert_array_equal(batch.labels, expected % 3)
        for pixels, row in zip(batch.images, expected, strict=True):
            image, _ = read_image(load.split, int(row))
            np.testing.assert_array_equal(pixels, random_crop(image, CROP, np.random.default_rng((*KEY, row))))


def test_another_key_and_another_row_are_other_draws(load):
    rows = batches_of(range(8))
    (one,), (other,) = data.read_ahead(load, rows), data.read_ahead(load._replace(key=(3, 6)), rows)
    assert all((a != b).any() for a, b in zip(one.images, other.images, strict=True))
    draws = {tuple(np.random.default_rng((*KEY, row)).integers(0, 99, 4)) for row in range(SIZE)}
    assert len(draws) == SIZE


def test_images_of_any_mode_become_color(load):
    (batch,) = data.read_ahead(load, batches_of(range(4)))
    assert batch.images.shape == (4, 16, 16, 3)
    np.testing.assert_array_equal(batch.images[1, ..., 0], batch.images[1, ..., 2])


@pytest.mark.slow
@given(st.integers(0, 6), st.integers(1, 8))
def test_a_stream_started_at_any_step_goes_on_with_the_same_batches(load, step, size):
    batches = batches_of(np.random.default_rng(1).permutation(SIZE)[:30], size)
    everything = list(data.read_ahead(load, batches))
    assert_same(list(data.read_ahead(load, batches[step:])), everything[step:])


@pytest.mark.parametrize("threads", [1, 3, 16])
def test_threads_and_what_is_read_ahead_change_nothing(load, threads, monkeypatch):
    batches = batches_of(np.random.default_rng(2).permutation(SIZE))
    expected = list(data.read_ahead(load, batches))
    monkeypatch.setattr(stream, "THREADS", threads)
    assert_same(list(data.read_ahead(load, batches, prefetch=threads)), expected)


def test_grain_s_own_state_goes_on_with_the_same_batches(load):
    rows = np.random.default_rng(3).permutation(SIZE)
    everything = list(data.read_ahead(load, batches_of(rows)))
    first = iter(stream.pipeline(load, rows, 8))
    for expected in everything[:2]:
        np.testing.assert_array_equal(next(first)[0], expected.images)
    state = first.get_state()
    first.close()
    again = iter(stream.pipeline(load, rows, 8))
    again.set_state(state)
    rest = list(again)
    again.close()
    assert len(rest) == len(everything) - 2
    for (images, labels), expected in zip(rest, everything[2:], strict=True):
        np.testing.assert_array_equal(images, expected.images)
        np.testing.assert_array_equal(labels, expected.labels)


def test_a_last_batch_that_every_process_reads_whole_comes_in_one_piece(load):
    batches = [np.arange(0, 4), np.arange(8, 12), np.arange(16, 27)]
    *_, last = data.read_ahead(load, batches)
    np.testing.assert_array_equal(last.labels, batches[-1] % 3)
    np.testing.assert_array_equal(last.images, data.decode(load, batches[-1]).images)


@pytest.mark.slow
def test_worker_processes_yield_what_threads_yield_and_can_be_stopped(load):
    batches = batches_of(np.random.default_rng(4).permutation(SIZE))
    expected = list(data.read_ahead(load, batches))
    for workers in (1, 2):
        assert_same(list(data.read_ahead(load, batches, workers=workers)), expected)
    assert not multiprocessing.active_children()
    stopped = data.read_ahead(load, batches, workers=2)
    assert_same([next(stopped)], expected[:1])
    assert len(multiprocessing.active_children()) == 2
    stopped.close()
    assert not multiprocessing.active_children()


SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from lpjax import data

if __name__ == "__main__":
    training, _ = data.open_image_splits("many", sys.argv[1])
    load = data.ImageLoader(training, data.Crop(64, 72, (0.1, 1.0), (0.8, 1.25)), (3,))
    batches = [np.arange(8) + i for i in range(12)]
    assert sum(len(batch.labels) for batch in data.read_ahead(load, batches, workers=2)) == 96
    stopped = data.read_ahead(load, batches, workers=2)
    next(stopped)
    stopped.close()
"""


@pytest.mark.slow
def test_worker_processes_leave_no_shared_memory_behind(pictures, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, script, pictures[0].directory.parents[1]]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    assert "leaked" not in ended.stderr


def test_a_stream_that_is_closed_early_leaves_no_thread_behind(load):
    before = set(threading.enumerate())
    stopped = data.read_ahead(load, batches_of(np.arange(SIZE)))
    next(stopped)
    assert any("grain" in thread.name for thread in threading.enumerate())
    stopped.close()
    deadline = time.monotonic() + 10
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert set(threading.enumerate()) <= before


# What is broken


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_broken_image_is_named(tmp_path, workers):
    files = [encoded(photograph(np.random.default_rng(i), 40, 30)) for i in range(6)]
    files[4] = files[4][:200]
    training, _ = write_pictures(tmp_path, "cut", {"train": files, "test": files[:1]})
    message = r"cut/1\.0\.0 .*image 4 of train"
    with pytest.raises(data.DataError, match=message):
        list(data.read_ahead(data.ImageLoader(training, CROP, KEY), batches_of(range(6), 2), workers=workers))
    assert not multiprocessing.active_children()
    with pytest.raises(data.DataError, match=message):
        data.decode(data.ImageLoader(training, CROP), range(6))


def test_a_broken_record_is_named(tmp_path):
    files = [encoded(photograph(np.random.default_rng(i), 200, 150)) for i in range(6)]
    training, _ = write_pictures(tmp_path, "hurt", {"train": files, "test": files[:1]})
    (file,) = training.directory.glob("*train*array_record*")
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(2000)
    file.write_bytes(content)
    with pytest.raises(data.DataError, match=r"hurt/1\.0\.0 .*image \d of train"):
        list(data.read_ahead(data.ImageLoader(training, CROP, KEY), batches_of(range(6), 2)))


def test_files_that_lack_are_told(tmp_path):
    files = [encoded(photograph(np.random.default_rng(i), 40, 30)) for i in range(3)]
    training, test = write_pictures(tmp_path, "gone", {"train": files, "test": files})
    for file in training.directory.glob("*array_record*"):
        file.unlink()
    with pytest.raises(data.DataError, match=r"gone/1\.0\.0 is broken .*image 0 of train"):
        data.decode(data.ImageLoader(training, CROP), range(1))
    with pytest.raises(data.DataError, match=r"gone/1\.0\.0 is broken"):
        data.read_labels(test)


def raising(error):
    def opened(*_):
        raise error

    return opened


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EIO, "Input/output error"), r"\(\[Errno 5\] Input/output error\)"),
        (
            RuntimeError("open() failed: Too many open files; opening x"),
            r"\(open\(\) failed: Too many open files; opening x",
        ),
        (MemoryError(), r"\(MemoryError\)"),
    ],
)
def test_a_system_that_fails_breaks_no_data(load, monkeypatch, error, said):
    monkeypatch.setattr("lpjax.data.stored._opened", raising(error))
    with pytest.raises(data.DataError, match=rf"could not be read at image 3 of train {said}"):
        next(data.read_ahead(load, [np.arange(3, 4)]))
    with pytest.raises(data.DataError, match=rf"could not be read {said}"):
        data.read_labels(load.split)


def test_what_the_system_says_through_array_record_is_heard(tmp_path):
    training, _ = write_pictures(tmp_path, "shut", {"train": [encoded(Image.new("RGB", (40, 30)))] * 2, "test": []})
    (file,) = training.directory.glob("*train*array_record*")
    file.unlink()
    file.mkdir()
    with pytest.raises(data.DataError, match=r"could not be read at image 0 .*Is a directory"):
        data.decode(data.ImageLoader(training, CROP), range(1))


def test_whatever_else_fails_while_reading_ahead_is_one_line(load):
    with pytest.raises(data.DataError, match="area") as caught:
        next(data.read_ahead(load._replace(crop=None), batches_of(range(4))))
    assert isinstance(caught.value.__cause__, AttributeError)
    assert "\n" not in str(caught.value)


# What lies in memory


def test_a_test_split_is_decoded_slice_by_slice_from_the_center(pictures):
    _, test = pictures
    images = data.LazyImages(test, CROP)
    assert (images.shape, images.dtype) == ((5, 16, 16, 3), np.uint8)
    np.testing.assert_array_equal(data.read_labels(test), [0, 1, 2, 0, 1])
    whole = data.decode(data.ImageLoader(test, CROP), range(5))
    np.testing.assert_array_equal(np.concatenate([images[:2], images[2:4], images[4:9]]), whole.images)
    np.testing.assert_array_equal(whole.images[0], center_crop(read_image(test, 0)[0], CROP))


def test_digits_are_not_streamed():
    with pytest.raises(ValueError, match=r"dataset: 'digits'"):
        data.open_image_splits("digits")
