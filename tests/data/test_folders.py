import hashlib

import numpy as np
import pytest
from PIL import Image

from lpjax import data
from lpjax.data.image_split import read_image


def test_a_folder_of_images_becomes_a_tfds_directory(images_folder, tmp_path):
    import tensorflow_datasets as tfds

    directory = data.prepare_folder("pets", images_folder, tmp_path / "home")
    assert directory == tmp_path / "home" / "pets" / "1.0.0"
    builder = tfds.builder("pets", data_dir=tmp_path / "home")
    assert builder.info.features["label"].names == ["cat", "dog"]
    assert builder.info.features["image"].shape == (4, 5, 3)
    names = {example["id"].decode() for example in builder.as_data_source("train")}
    assert names == {f"train/{label}/{i}.png" for label in ("cat", "dog") for i in range(3)}
    for example in builder.as_data_source("test"):
        assert example["image"][0, 0, 0] == 6 + example["label"]


def test_images_are_stored_in_the_order_of_the_hashes_of_their_paths(images_folder, tmp_path):
    data.prepare_folder("pets", images_folder, tmp_path)
    names = [f"train/{label}/{i}.png" for label in ("cat", "dog") for i in range(3)]
    expected = sorted(range(6), key=lambda i: hashlib.sha256(names[i].encode()).hexdigest())
    dataset = data.load("pets", data_dir=str(tmp_path), validation=2)
    stored = np.concatenate([dataset.train.images, dataset.validation.images])[:, 0, 0, 0]
    assert stored.tolist() == expected != sorted(expected)


def test_gray_images_keep_one_channel_and_other_formats_become_png(images_folder, tmp_path):
    for path in images_folder.rglob("*.png"):
        with Image.open(path) as image:
            image.convert("L").save(path.with_suffix(".bmp"))
        path.unlink()
    data.prepare_folder("gray", images_folder, tmp_path)
    dataset = data.load("gray", data_dir=str(tmp_path), validation=1)
    assert dataset.train.images.shape == (5, 4, 5, 1)
    assert sorted(dataset.test.images[:, 0, 0, 0].tolist()) == [6, 7]


def test_an_image_of_another_shape_is_refused_and_nothing_is_left(images_folder, tmp_path):
    Image.new("RGB", (9, 9)).save(images_folder / "test" / "cat" / "odd.png")
    with pytest.raises(data.DataError, match=r"odd\.png.*\(9, 9, 3\).*\(4, 5, 3\)"):
        data.prepare_folder("pets", images_folder, tmp_path / "home")
    assert data.prepared(tmp_path / "home") == {}
    assert list((tmp_path / "home" / "pets").iterdir()) == []


def test_a_broken_image_is_named(images_folder, tmp_path):
    (images_folder / "train" / "dog" / "1.png").write_bytes(b"no image")
    with pytest.raises(data.DataError, match=r"dog/1\.png"):
        data.prepare_folder("pets", images_folder, tmp_path)


def test_an_image_of_16_bits_is_refused(images_folder, tmp_path):
    Image.fromarray(np.zeros((4, 5), np.uint16)).save(images_folder / "train" / "dog" / "1.png")
    with pytest.raises(data.DataError, match=r"dog/1\.png.*'I;16'"):
        data.prepare_folder("pets", images_folder, tmp_path)


def test_classes_to_test_on_must_be_trained_on(images_folder, tmp_path):
    (images_folder / "test" / "dog").rename(images_folder / "test" / "fox")
    with pytest.raises(data.DataError, match=r"test has classes .*: fox"):
        data.prepare_folder("pets", images_folder, tmp_path)


@pytest.mark.parametrize("name", ["Pets", "", "../pets", "1pet", "digits", "cifar10"])
def test_an_unfit_name_is_refused(name, images_folder, tmp_path):
    with pytest.raises(ValueError, match=f"name: got {name!r}"):
        data.prepare_folder(name, images_folder, tmp_path)


def test_a_data_set_is_never_overwritten(images_folder, tmp_path):
    data.prepare_folder("pets", images_folder, tmp_path)
    with pytest.raises(ValueError, match=r"name: .*pets/1\.0\.0"):
        data.prepare_folder("pets", images_folder, tmp_path)


def test_images_of_any_size_are_stored_as_they_are_and_read_as_color(images_folder, tmp_path):
    Image.new("RGB", (9, 7), "red").save(images_folder / "train" / "cat" / "large.jpg")
    Image.new("L", (3, 4), 5).save(images_folder / "train" / "dog" / "gray.bmp")
    Image.new("CMYK", (6, 6)).save(images_folder / "test" / "dog" / "printed.jpg")
    data.prepare_folder("pets", images_folder, tmp_path, any_size=True)
    training, test = data.open_image_splits("pets", str(tmp_path))
    assert (training.size, test.size, training.channels, training.classes) == (8, 3, 3, 2)
    sizes = sorted(read_image(training, row)[0].size for row in range(8))
    assert sizes == [(3, 4), *[(5, 4)] * 6, (9, 7)]
    assert {read_image(test, row)[0].mode for row in range(3)} == {"RGB"}
    (stored,) = (example["image"] for example in examples_of(tmp_path) if example["id"] == b"train/cat/large.jpg")
    assert stored == (images_folder / "train" / "cat" / "large.jpg").read_bytes()


def examples_of(home):
    import tensorflow_datasets as tfds

    builder = tfds.builder("pets", data_dir=home)
    return builder.as_data_source("train", decoders={"image": tfds.decode.SkipDecoding()})


def test_a_broken_image_of_any_size_is_named(images_folder, tmp_path):
    (images_folder / "train" / "dog" / "1.png").write_bytes(b"no image")
    with pytest.raises(data.DataError, match=r"dog/1\.png"):
        data.prepare_folder("pets", images_folder, tmp_path, any_size=True)
