"""Conversion of a folder of images to a TFDS directory."""

import itertools
import logging
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lpjax.cache import expand_home
from lpjax.data.archives import ARCHIVES
from lpjax.data.directory import DataError, data_home, pinned_order, prepared, write_directory
from lpjax.data.png import convert, encode_png
from lpjax.data.sources import IN_MEMORY
from lpjax.errors import UserError

_TAKEN = {*IN_MEMORY, *ARCHIVES}
_GRAY = {"1", "L", "LA"}
_COLOR = {"CMYK", "HSV", "P", "PA", "RGB", "RGBA", "RGBX", "YCbCr"}
_KEPT = {"JPEG", "PNG"}  # formats whose files are stored unchanged if images may have any size
_EXPECTED = "train/<class>/*.png and test/<class>/*.png"


def prepare_folder(
    name: str,
    source: str | Path,
    data_dir: str | Path = "",
    *,
    any_size: bool = False,
    test_fraction: float = 0.0,
    seed: int = 0,
) -> Path:
    """Convert a folder of images to a TFDS directory.

    Images are ordered by the SHA-256 of their paths, so that the last images of the training split, which `load` holds
    out, come from all classes. Classes are numbered in alphabetical order. Every file that Pillow reads is an image,
    whatever its suffix; hidden files are skipped, and what else is left out is logged. Images of any 8-bit mode are
    converted as Pillow does it, which leaves out opacity.

    Args:
      name: Name of the new data set: lower-case letters, digits and underscores.
      source: A folder with `train/<class>/` and `test/<class>/`, which contain images (PNG, JPEG, ...) of one size; or
        with `<class>/`, if `test_fraction` is given.
      data_dir: The folder of TFDS directories; empty for the default of TFDS.
      any_size: Accept images of different sizes, for streaming. Color and gray images may be mixed; all become color.
      test_fraction: Share of every class, in (0, 1), that becomes the test split; 0 if the folder has one.
      seed: Which images these are, at least 0.

    Returns:
      The directory `data_dir/name/1.0.0`. Images are stored as PNG; with `any_size`, JPEG files are stored unchanged.

    Raises:
      DataError: If there are no images, their sizes or the classes of the splits differ, or some cannot be read; it
        names all of these. Nothing is left behind.
      UserError: If the name or the fraction is invalid, or the data set exists.

    Example:
      >>> prepare_folder('cats', '/nowhere')
      Traceback (most recent call last):
      lpjax.data.directory.DataError: no images in /nowhere/train; expected train/<class>/*.png and test/<class>/*.png
    """
    _check(name, test_fraction, seed)
    home = data_home(data_dir)
    root = expand_home(source)
    directory = prepared(home).get(name)
    if directory is not None:
        raise UserError(f"name: {directory} exists; give another name, or delete it first")
    left_out: Counter[str] = Counter()
    about = f"From the folder {root.name}."
    if test_fraction:
        train, test = _divide(root, test_fraction, seed, left_out)
        about += f" Test images are {test_fraction:g} of every class, drawn with seed {seed}."
    else:
        train, test = _find_splits(root, left_out)
    if left_out:
        counts = ", ".join(f"{count} {what}" for what, count in sorted(left_out.items()))
        logging.getLogger(__name__).warning("lpjax: left out of %s: %s", root, counts)
    classes = _classes(train)
    unknown = sorted(set(_classes(test)) - set(classes))
    if unknown:
        raise DataError(f"{root}/test has classes that {root}/train lacks: {', '.join(unknown)}")
    shape = None if any_size else _first_shape(train)
    problems: list[str] = []
    splits = {
        "train": _examples(root, train, shape, problems),
        "test": itertools.chain(_examples(root, test, shape, problems), _refuse(root, problems)),
    }
    return write_directory(home, name, "1.0.0", _features(shape or (None, None, 3), classes), splits, about)


def _check(name: str, test_fraction: float, seed: int) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in _TAKEN:
        raise UserError(
            f"name: got {name!r}, expected lower-case letters, digits and underscores, and none of "
            f"{', '.join(sorted(_TAKEN))}"
        )
    if not 0 <= test_fraction < 1:
        raise UserError(f"test_fraction: got {test_fraction}, expected 0 to below 1")
    if seed < 0:
        raise UserError(f"seed: got {seed}, expected at least 0")


def _find_splits(root: Path, left_out: Counter[str]) -> tuple[list[Path], list[Path]]:
    """Find the images of `train/<class>/` and `test/<class>/`."""
    if not _has_splits(root) and _images(root, Counter()):
        raise DataError(
            f"{root} has neither train/ nor test/; make {_EXPECTED}, or have its classes divided: --test_fraction=0.2"
        )
    train = _images(root / "train", left_out)
    test = _images(root / "test", left_out)
    for split, paths in (("train", train), ("test", test)):
        if not paths:
            raise DataError(f"no images in {root}/{split}; expected {_EXPECTED}")
    return _in_order(root, train), _in_order(root, test)


def _divide(root: Path, fraction: float, seed: int, left_out: Counter[str]) -> tuple[list[Path], list[Path]]:
    """Divide the images of `<class>/`: of every class a share, drawn by the SHA-256 of seed and path, is to test."""
    if _has_splits(root):
        raise UserError(f"test_fraction: got {fraction:g}, but {root} has train/ or test/; leave it out")
    images = _images(root, left_out)
    train: list[Path] = []
    test: list[Path] = []
    for label in _classes(images):
        paths = _in_order(root, [path for path in images if path.parent.name == label], f"{seed}/")
        count = min(max(round(fraction * len(paths)), 1), len(paths) - 1)
        test += paths[:count]
        train += paths[count:]
    if not test:
        raise DataError(f"no images in {root}; expected <class>/*.png, at least two of a class")
    return _in_order(root, train), _in_order(root, test)


def _has_splits(root: Path) -> bool:
    return (root / "train").is_dir() or (root / "test").is_dir()


def _classes(paths: Sequence[Path]) -> list[str]:
    return sorted({path.parent.name for path in paths})


def _in_order(root: Path, paths: Sequence[Path], salt: str = "") -> list[Path]:
    order = pinned_order(salt + path.relative_to(root).as_posix() for path in paths)
    return [paths[index] for index in order]


def _images(folder: Path, left_out: Counter[str]) -> list[Path]:
    """Find the images in the folders of a folder, and count what else is there."""
    images = []
    for entry in _visible(folder):
        if not entry.is_dir():
            left_out["files outside of classes"] += 1
            continue
        for path in _visible(entry):
            if path.is_dir():
                left_out["folders inside of classes"] += 1
            elif _is_image(path):
                images.append(path)
            else:
                left_out["files that are no images"] += 1
    return images


def _visible(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if not path.name.startswith(".")]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}") from error


@cache
def _suffixes() -> set[str]:
    """List the suffixes of all formats that Pillow reads."""
    return {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}


def _is_image(path: Path) -> bool:
    """Tell whether a file should be an image, by its suffix or by what it holds."""
    if path.suffix.lower() in _suffixes():
        return True
    try:
        with Image.open(path):
            return True
    except Exception:  # formats raise errors of many types
        return False


def _pixels(path: Path) -> np.ndarray:
    try:
        with Image.open(path) as image:
            mode = image.mode
            if mode in _GRAY:
                return np.asarray(convert(image, "L"))[..., None]
            if mode in _COLOR:
                return np.asarray(convert(image, "RGB"))
    except Exception as error:  # formats raise errors of many types
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"cannot be read as an image ({reason})") from error
    raise DataError(f"has mode {mode!r}, expected 8-bit gray or color")


def _first_shape(paths: Sequence[Path]) -> tuple[int, ...]:
    for path in paths:
        try:
            return _pixels(path).shape
        except DataError:
            continue  # it is going to be listed with all others
    return (1, 1, 1)


def _examples(
    root: Path, paths: Sequence[Path], shape: tuple[int, ...] | None, problems: list[str]
) -> Iterator[dict[str, Any]]:
    """Read images of one shape, or of any; those that cannot be used are appended to the problems."""
    for path in paths:
        name = path.relative_to(root).as_posix()
        try:
            encoded = _encode(path, shape) if shape else _encode_any_size(path)
        except DataError as error:
            problems.append(f"{name} {error}")
        else:
            yield {"id": name, "image": encoded, "label": path.parent.name}


def _refuse(root: Path, problems: Sequence[str]) -> Iterator[Any]:
    """Yield nothing; refuse the folder if, by now, there are problems."""
    if problems:
        raise DataError(
            f"{root}: {len(problems)} of its images cannot be used: {'; '.join(problems)}; mend or remove them, or "
            "prepare images of different sizes for streaming (--any_size)"
        )
    yield from ()


def _encode(path: Path, shape: tuple[int, ...]) -> bytes:
    pixels = _pixels(path)
    if pixels.shape != shape:
        raise DataError(f"has shape {pixels.shape}, expected that of the first image, {shape}")
    return encode_png(pixels)


def _encode_any_size(path: Path) -> bytes:
    pixels = _pixels(path)  # raises an error if the image is corrupt
    with Image.open(path) as image:
        return path.read_bytes() if image.format in _KEPT else encode_png(pixels)


def _features(shape: tuple[int | None, ...], classes: list[str]) -> Any:
    import tensorflow_datasets as tfds

    return tfds.features.FeaturesDict(
        {
            "id": tfds.features.Text(),
            "image": tfds.features.Image(shape=shape, encoding_format="jpeg" if None in shape else "png"),
            "label": tfds.features.ClassLabel(names=classes),
        }
    )
