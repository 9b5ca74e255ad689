import hashlib
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from lpjax import data
from lpjax.data.directory import prepared
from lpjax.data.stored import read_image
from lpjax.errors import StorageError, UserError


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
    assert prepared(tmp_path / "home") == {}
    assert not (tmp_path / "home").exists()


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


def save(path, mode="RGB", size=(5, 4), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, **options).save(path)
    return path


def test_hidden_files_and_folders_are_skipped_without_a_word(images_folder, tmp_path, caplog):
    save(images_folder / "train" / ".ipynb_checkpoints" / "cat.png")
    (images_folder / "train" / "cat" / "._1.png").write_bytes(b"of macOS")
    (images_folder / "train" / ".DS_Store").write_bytes(b"of macOS")
    data.prepare_folder("pets", images_folder, tmp_path)
    training, _ = data.open_image_splits("pets", str(tmp_path))
    assert (training.size, training.classes) == (6, 2)
    assert not caplog.records


def test_what_is_left_out_is_counted_and_said(images_folder, tmp_path, caplog):
    save(images_folder / "train" / "cat" / "more" / "1.png")
    save(images_folder / "train" / "lonely.png")
    (images_folder / "test" / "dog" / "notes.txt").write_text("no image")
    (images_folder / "test" / "dog" / "README").write_text("no image")
    data.prepare_folder("pets", images_folder, tmp_path)
    (record,) = caplog.records
    for said in ("2 files that are no images", "1 folders inside of classes", "1 files outside of classes"):
        assert said in record.getMessage()


@pytest.mark.parametrize("name", ["one.jfif", "one.JPE", "one", "one.data"])
def test_what_pillow_reads_is_an_image_whatever_its_suffix(name, images_folder, tmp_path, caplog):
    save(tmp_path / "one.jpg").rename(images_folder / "train" / "cat" / name)
    data.prepare_folder("pets", images_folder, tmp_path)
    assert data.open_image_splits("pets", str(tmp_path))[0].size == 7
    assert not caplog.records


@pytest.mark.parametrize("any_size", [False, True])
def test_pictures_of_every_mode_are_converted_as_pillow_does(any_size, images_folder, tmp_path):
    random = np.random.default_rng(0)
    pictures = [Image.fromarray(random.integers(0, 256, (4, 5, 4), np.uint8), "RGBA")]
    pictures.append(pictures[0].convert("RGB").convert("P"))
    pictures.append(pictures[0].convert("RGB").quantize(8))
    pictures[2].info["transparency"] = bytes([0, 128, 255])
    if any_size:
        pictures.append(Image.fromarray(random.integers(0, 256, (4, 5, 2), np.uint8), "LA"))
    for number, picture in enumerate(pictures):
        picture.save(images_folder / "train" / "cat" / f"converted_{number}.png")
    data.prepare_folder("pets", images_folder, tmp_path, any_size=any_size)
    training, _ = data.open_image_splits("pets", str(tmp_path))
    stored = {np.asarray(read_image(training, row)[0]).tobytes() for row in range(training.size)}
    for picture in pictures:
        picture.info.clear()
        assert np.asarray(picture.convert("RGB")).tobytes() in stored


def test_gray_with_opacity_is_gray(images_folder, tmp_path):
    for path in images_folder.rglob("*.png"):
        save(path, "LA", color=(7, 99))
    data.prepare_folder("gray", images_folder, tmp_path)
    dataset = data.load("gray", data_dir=str(tmp_path), validation=1)
    assert dataset.train.images.shape == (5, 4, 5, 1)
    assert (dataset.train.images == 7).all()


@pytest.mark.parametrize("any_size", [False, True])
def test_all_bad_files_are_listed_in_one_line_and_nothing_is_left(any_size, images_folder, tmp_path):
    Image.fromarray(np.zeros((4, 5), np.uint16)).save(images_folder / "train" / "dog" / "deep.png")
    (images_folder / "train" / "dog" / "text.png").write_text("no image")
    whole = save(images_folder / "test" / "cat" / "cut.png", size=(50, 40))
    whole.write_bytes(whole.read_bytes()[:60])
    with pytest.raises(data.DataError) as refusal:
        data.prepare_folder("pets", images_folder, tmp_path / "home", any_size=any_size)
    for name in ("train/dog/deep.png", "train/dog/text.png", "test/cat/cut.png"):
        assert name in str(refusal.value)
    assert "3 of its images" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "home").exists()


def test_whatever_pillow_raises_is_one_line_that_names_the_file(images_folder, tmp_path, monkeypatch):
    def explode(self, *arguments):
        raise SyntaxError("a format of\nits own")

    monkeypatch.setattr(Image.Image, "convert", explode)
    with pytest.raises(data.DataError, match=r"train/dog/1\.png cannot be read .*a format of its own") as refusal:
        data.prepare_folder("pets", images_folder, tmp_path / "home")
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "home").exists()


def test_a_refused_folder_leaves_what_was_there(images_folder, tmp_path):
    data.prepare_folder("pets", images_folder, tmp_path / "home")
    (images_folder / "train" / "dog" / "text.png").write_text("no image")
    with pytest.raises(data.DataError):
        data.prepare_folder("others", images_folder, tmp_path / "home")
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["pets"]


def test_a_full_disk_is_one_line_and_leaves_nothing(images_folder, tmp_path, monkeypatch):
    def refuse(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tensorflow_datasets.core.SequentialWriter.close_all", refuse)
    with pytest.raises(StorageError, match=r"pets/1\.0\.0: No space left on device"):
        data.prepare_folder("pets", images_folder, tmp_path / "home")
    assert not (tmp_path / "home").exists()


@pytest.fixture
def flat(tmp_path):
    """Classes of 10, 4 and 2 images, without train/ and test/; the first pixel numbers them."""
    for number in range(16):
        label = "cat" if number < 10 else "dog" if number < 14 else "fox"
        save(tmp_path / "flat" / label / f"{number}.png", color=(number, 0, 0))
    return tmp_path / "flat"


def names_of(home, name, split):
    import tensorflow_datasets as tfds

    return [example["id"].decode() for example in tfds.builder(name, data_dir=home).as_data_source(split)]


def test_a_folder_without_splits_is_divided_by_class(flat, tmp_path):
    data.prepare_folder("pets", flat, tmp_path, test_fraction=0.25, seed=3)
    train, test = (names_of(tmp_path, "pets", split) for split in ("train", "test"))
    assert sorted(train + test) == sorted(path.relative_to(flat).as_posix() for path in flat.rglob("*.png"))
    assert Counter(name.split("/")[0] for name in test) == {"cat": 2, "dog": 1, "fox": 1}
    about = (tmp_path / "pets" / "1.0.0" / "dataset_info.json").read_text()
    assert "0.25" in about
    assert "seed 3" in about


def test_the_seed_alone_draws_what_is_to_test(flat, tmp_path):
    for name, seed in (("first", 0), ("again", 0), ("other", 1)):
        data.prepare_folder(name, flat, tmp_path, test_fraction=0.25, seed=seed)
    first, again, other = (names_of(tmp_path, name, "test") for name in ("first", "again", "other"))
    assert first == again != other


def test_a_folder_without_splits_is_refused_unless_a_fraction_is_given(flat, tmp_path):
    with pytest.raises(data.DataError, match="--test_fraction="):
        data.prepare_folder("pets", flat, tmp_path / "home")
    assert not (tmp_path / "home").exists()


def test_a_folder_with_splits_is_not_divided_anew(images_folder, tmp_path):
    with pytest.raises(UserError, match=r"test_fraction: got 0\.5, but .* has train/ or test/"):
        data.prepare_folder("pets", images_folder, tmp_path, test_fraction=0.5)


@pytest.mark.parametrize("options", [{"test_fraction": 1.0}, {"test_fraction": -0.1}, {"seed": -1}])
def test_a_fraction_that_is_none_is_refused(options, flat, tmp_path):
    with pytest.raises(UserError, match=r"(test_fraction|seed): got"):
        data.prepare_folder("pets", flat, tmp_path, **options)


def test_a_class_with_one_image_trains(tmp_path):
    save(tmp_path / "flat" / "cat" / "1.png")
    for number in range(3):
        save(tmp_path / "flat" / "dog" / f"{number}.png")
    data.prepare_folder("pets", tmp_path / "flat", tmp_path, test_fraction=0.9)
    assert "cat/1.png" in names_of(tmp_path, "pets", "train")
    assert len(names_of(tmp_path, "pets", "train")) == 2
