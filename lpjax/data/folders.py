"""Conversion of a folder of images to a TFDS directory."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from lpjax.data.archives import ARCHIVES
from lpjax.data.directory import DataError, data_home, pinned_order, prepared, write_directory
from lpjax.data.png import encode_png
from lpjax.errors import UserError

_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
_TAKEN = {"digits", *ARCHIVES}
_GREY = {"1", "L"}
_COLOUR = {"CMYK", "P", "RGB", "YCbCr"}
_KEPT = {"JPEG", "PNG"}  # formats whose files are stored unchanged if images may have any size


def prepare_folder(name: str, source: str | Path, data_dir: str | Path = "", *, any_size: bool = False) -> Path:
    """Converts a folder of images to a TFDS directory.

    Images are ordered by the SHA-256 of their paths, so that the last images of the training split, which `load` holds
    out, come from all classes. Classes are numbered in alphabetical order.

    Args:
      name: Name of the new data set: lower-case letters, digits and underscores.
      source: A folder with `train/<class>/` and `test/<class>/`, which contain images (PNG, JPEG, ...) of one size.
      data_dir: The folder of TFDS directories; empty for the default of TFDS.
      any_size: Accept images of different sizes, for streaming. Color and gray images may be mixed; all become color.

    Returns:
      The directory `data_dir/name/1.0.0`. Images are stored as PNG; with `any_size`, JPEG files are stored unchanged.

    Raises:
      DataError: If there are no images, their sizes or the classes of the splits differ, or one cannot be read.
      UserError: If the name is invalid, or the data set exists.

    Example:
      >>> prepare_folder('cats', '/nowhere')
      Traceback (most recent call last):
      lpjax.data.directory.DataError: no images in /nowhere/train; expected train/<class>/*.png and test/<class>/*.png
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in _TAKEN:
        raise UserError(
            f"name: got {name!r}, expected lower-case letters, digits and underscores, and none of "
            f"{', '.join(sorted(_TAKEN))}"
        )
    home = data_home(data_dir)
    root = Path(source).expanduser()
    directory = prepared(home).get(name)
    if directory is not None:
        raise UserError(f"name: {directory} exists; give another name, or delete it first")
    files = {split: _files(root, split) for split in ("train", "test")}
    classes = sorted({path.parent.name for path in files["train"]})
    unknown = sorted({path.parent.name for path in files["test"]} - set(classes))
    if unknown:
        raise DataError(f"{root}/test has classes that {root}/train lacks: {', '.join(unknown)}")
    if any_size:
        examples = {split: _examples_of_any_size(root, paths) for split, paths in files.items()}
        features = _features((None, None, 3), classes)
    else:
        shape = _pixels(files["train"][0]).shape
        examples = {split: _examples(root, paths, shape) for split, paths in files.items()}
        features = _features(shape, classes)
    return write_directory(home, name, "1.0.0", features, examples, f"From the folder {root.name}.")


def _files(root: Path, split: str) -> list[Path]:
    paths = [path for path in root.glob(f"{split}/*/*") if path.suffix.lower() in _SUFFIXES]
    if not paths:
        raise DataError(f"no images in {root}/{split}; expected train/<class>/*.png and test/<class>/*.png")
    return [paths[i] for i in pinned_order(path.relative_to(root).as_posix() for path in paths)]


def _pixels(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            if image.mode in _GREY:
                return np.asarray(image.convert("L"))[..., None]
            if image.mode in _COLOUR:
                return np.asarray(image.convert("RGB"))
            raise DataError(f"{path}: got mode {image.mode!r}, expected 8-bit gray or RGB; convert it")
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{path} cannot be read as an image; repair or remove it") from error


def _examples(root: Path, paths: Sequence[Path], shape: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    for path in paths:
        pixels = _pixels(path)
        if pixels.shape != shape:
            raise DataError(
                f"{path}: got shape {pixels.shape}, expected that of the first image, {shape}; "
                "resize all images to one shape, or prepare them for streaming (--any_size)"
            )
        yield {"id": path.relative_to(root).as_posix(), "image": encode_png(pixels), "label": path.parent.name}


def _examples_of_any_size(root: Path, paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    for path in paths:
        pixels = _pixels(path)  # raises an error if the image is corrupt
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
