import json
import re

import numpy as np
import pytest

from lpjax import data
from lpjax.data import stored as stored_module
from lpjax.data.stored import open_splits, read_images


def test_a_prepared_set_is_read_in_stored_order(stored):
    train, _ = open_splits(stored(size=1234))
    batch = read_images(train, 0, 1234)
    assert (batch.images.dtype, batch.labels.dtype, train.classes) == (np.uint8, np.int32, 3)
    np.testing.assert_array_equal(batch.images[:, 1, 1, 0], np.arange(1234) % 256)
    np.testing.assert_array_equal(batch.labels, np.arange(1234) % 3)


def test_only_what_is_asked_for_is_decoded(stored, monkeypatch):
    train, _ = open_splits(stored(size=50))
    decoded = []
    decode = stored_module.decode_image
    monkeypatch.setattr(stored_module, "decode_image", lambda *given: decoded.append(1) or decode(*given))
    batch = read_images(train, 20, 23)
    np.testing.assert_array_equal(batch.images[:, 0, 0, 0], [20, 21, 22])
    assert len(decoded) == 3 + 1  # one tells the shape
    assert read_images(train, 50, 50).images.shape == (0, 2, 2, 1)


def test_the_validation_split_stands_in_for_a_missing_test_split(stored):
    assert [split.size for split in open_splits(stored(splits=("train", "validation")))] == [10, 4]
    with pytest.raises(data.DataError, match=r"validation split.*\['dev', 'train'\]"):
        open_splits(stored("odd", splits=("train", "dev")))


def test_images_of_different_shapes_are_refused(stored):
    wide = {"image": data.encode_png(np.zeros((2, 3, 1), np.uint8)), "label": 0}
    train, _ = open_splits(stored(more=[wide]))
    assert read_images(train, 0, 10).images.shape == (10, 2, 2, 1)
    with pytest.raises(data.DataError, match=r"gray.*\(2, 2, 1\) and \(2, 3, 1\)"):
        read_images(train, 0, 11)


def test_a_set_without_one_label_an_image_is_refused(stored):
    import tensorflow_datasets as tfds

    with pytest.raises(data.DataError, match=r"features \['image', 'label'\]"):
        open_splits(stored(label=tfds.features.Scalar(np.int64)))


def test_pixels_of_16_bits_are_refused(stored):
    with pytest.raises(data.DataError, match="pixels of uint16"):
        open_splits(stored(dtype=np.uint16))


def test_a_format_that_needs_tensorflow_is_refused(stored):
    info = stored() / "dataset_info.json"
    info.write_text(json.dumps(json.loads(info.read_text()) | {"fileFormat": "tfrecord"}))
    with pytest.raises(data.DataError, match="format tfrecord"):
        open_splits(info.parent)


def test_a_broken_directory_is_refused_in_one_line(stored):
    directory = stored()
    next(directory.glob("*train*")).unlink()
    with pytest.raises(data.DataError, match=re.escape(str(directory))) as caught:
        read_images(open_splits(directory)[0], 0, 10)
    assert "\n" not in str(caught.value)
