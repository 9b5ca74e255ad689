"""A folder of images, made into a TFDS directory."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from lpjax.data.archives import ARCHIVES
from lpjax.data.directory import DataError, data_home, pinned_order, prepared, write_directory
from lpjax.data.png import encode_png

_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
_TAKEN = {"digits", *ARCHIVES}
_GREY = {"1", "L"}
_COLOUR = {"CMYK", "P", "RGB", "YCbCr"}
_KEPT = {"JPEG", "PNG"}  # formats whose files are stored as they are, if pictures may have any size


def prepare_folder(name: str, source: str | Path, data_dir: str | Path = "", *, any_size: bool = False) -> Path:
    """Makes a folder of images into a TFDS directory.

    Images are stored in a pinned shuffled order (the SHA-256 of their paths), so the last ones of the training split,
    which `load` holds out, come from all classes. Classes are numbered in alphabetical order.

    Args:
      name: Of the new data set: lower-case letters, digits and underscores.
      source: A folder with `train/<class>/` and `test/<class>/`, each full of images (PNG, JPEG, ...) of one size.
      data_dir: Where TFDS directories lie; empty for TFDS's own default.
      any_size: They may have many sizes, and are to be streamed: color and gray may be mixed, and count as color.

    Returns:
      The directory `data_dir/name/1.0.0`, images stored as PNG; of any size, JPEG files as they are.

    Raises:
      DataError: If there are no images, their sizes or classes differ, or one cannot be read.
      ValueError: If the name is not fit or taken.

    Example:
      >>> prepare_folder('cats', '/nowhere')
      Traceback (most recent call last):
      lpjax.data.directory.DataError: no images in /nowhere/train; wanted train/<class>/*.png and test/<class>/*.png
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in _TAKEN:
        raise ValueError(
            f"name is {name!r}; give lower-case letters, digits and underscores, and none of "
            f"{', '.join(sorted(_TAKEN))}"
        )
    home, root = data_home(data_dir), Path(source).expanduser()
    if (there := prepared(home).get(name)) is not None:
        raise ValueError(f"{there} exists; give another name, or delete it first")
    files = {split: _files(root, split) for split in ("train", "test")}
    classes = sorted({path.parent.name for path in files["train"]})
    if strange := sorted({path.parent.name for path in files["test"]} - set(classes)):
        raise DataError(f"{root}/test has classes that train has not: {', '.join(strange)}")
    if any_size:
        examples = {split: _pictures(root, paths) for split, paths in files.items()}
        features = _features((None, None, 3), classes)
    else:
        shape = _pixels(files["train"][0]).shape
        examples = {split: _examples(root, paths, shape) for split, paths in files.items()}
        features = _features(shape, classes)
    return write_directory(home, name, "1.0.0", features, examples, f"From the folder {root.name}.")


def _files(root: Path, split: str) -> list[Path]:
    paths = [path for path in root.glob(f"{split}/*/*") if path.suffix.lower() in _SUFFIXES]
    if not paths:
        raise DataError(f"no images in {root}/{split}; wanted train/<class>/*.png and test/<class>/*.png")
    return [paths[i] for i in pinned_order(path.relative_to(root).as_posix() for path in paths)]


def _pixels(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            if image.mode in _GREY:
                return np.asarray(image.convert("L"))[..., None]
            if image.mode in _COLOUR:
                return np.asarray(image.convert("RGB"))
            raise DataError(f"{path} has mode {image.mode!r}; convert it to gray or RGB of 8 bits")
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{path} cannot be read as an image; repair or remove it") from error


def _examples(root: Path, paths: Sequence[Path], shape: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    for path in paths:
        pixels = _pixels(path)
        if pixels.shape != shape:
            raise DataError(
                f"{path} has shape {pixels.shape}, the first image {shape}; "
                "resize them all to one shape, or prepare them to be streamed (--any_size)"
            )
        yield {"id": path.relative_to(root).as_posix(), "image": encode_png(pixels), "label": path.parent.name}


def _pictures(root: Path, paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for path in paths:
        pixels = _pixels(path)  # decoded, so that a broken one is found now
        with Image.open(path) as image:
            encoded = path.read_bytes() if image.format in _KEPT else encode_png(pixels)
        yield {"id": path.relative_to(root).as_posix(), "image": encoded, "label": path.parent.name}


def _features(shape: tuple[int | None, ...], classes: list[str]) -> Any:
    import tensorflow_datasets as tfds

    return tfds.features.FeaturesDict(
        {
            "id": tfds.features.Text(),
            "image": tfds.features.Image(shape=shape, encoding_format="jpeg" if None in shape else "png"),
            "label": tfds.features.ClassLabel(names=classes),
        }
    )
