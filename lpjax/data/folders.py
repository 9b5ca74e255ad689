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
_COLOUR = {"P", "RGB", "YCbCr"}


def prepare_folder(name: str, source: str | Path, data_dir: str | Path = "") -> Path:
    """Makes a folder of images into a TFDS directory.

    Images are stored in a pinned shuffled order (the SHA-256 of their paths), so the last ones of the training split,
    which `load` holds out, come from all classes. Classes are numbered in alphabetical order.

    Args:
      name: Of the new data set: lower-case letters, digits and underscores.
      source: A folder with `train/<class>/` and `test/<class>/`, each full of images (PNG, JPEG, ...) of one size.
      data_dir: Where TFDS directories lie; empty for TFDS's own default.

    Returns:
      The directory `data_dir/name/1.0.0`, images stored as PNG.

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
    shape = _pixels(files["train"][0]).shape
    examples = {split: _examples(root, paths, shape) for split, paths in files.items()}
    return write_directory(home, name, "1.0.0", _features(shape, classes), examples, f"From the folder {root.name}.")


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
            raise DataError(f"{path} has mode {image.mode!r}; convert it to grey or RGB of 8 bits")
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{path} cannot be read as an image; repair or remove it") from error


def _examples(root: Path, paths: Sequence[Path], shape: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    for path in paths:
        pixels = _pixels(path)
        if pixels.shape != shape:
            raise DataError(f"{path} has shape {pixels.shape}, the first image {shape}; resize them all to one shape")
        relative = path.relative_to(root).as_posix()
        yield {"id": relative, "image": encode_png(pixels), "label": path.parent.name}


def _features(shape: tuple[int, ...], classes: list[str]) -> Any:
    import tensorflow_datasets as tfds

    return tfds.features.FeaturesDict(
        {
            "id": tfds.features.Text(),
            "image": tfds.features.Image(shape=shape, encoding_format="png"),
            "label": tfds.features.ClassLabel(names=classes),
        }
    )
