"""Finding, reading and writing of PyTorch files; the only module that needs PyTorch."""

import hashlib
import itertools
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Load = Callable[[Path], Any]
"""Reads a file as nested dicts of numpy arrays and Python values, or raises a `ValueError` of one line."""

_BEST = re.compile(r"(\d+)model_SA_best\.pth\.tar")
_LAST = re.compile(r"(\d+)checkpoint\.pth\.tar")
_OPENLTH_MODEL = re.compile(r"model_ep(\d+)_it(\d+)\.pth")
_SUFFIXES = (".pth", ".pt", ".pth.tar")
_SHOWN = 80


class Source(NamedTuple):
    """The files of one level.

    Attributes:
      seed: Number of the replicate.
      level: Number of prunings done.
      weights: The file of weights.
      mask: The file of masks, or None if they are in the file of weights.
    """

    seed: int
    level: int
    weights: Path
    mask: Path | None = None


class Contents(NamedTuple):
    """The contents of the files of one level.

    Attributes:
      state: The state dict, as numpy arrays.
      masks: Arrays of zeros and ones by name of the weight; empty if there is no file of masks.
      epoch: Epochs trained, if known.
      validation_accuracy: Validation accuracy of these weights, a fraction, if known.
    """

    state: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]
    epoch: int | None = None
    validation_accuracy: float | None = None


def find(source: Path, seed: int | None = None, level: int | None = None) -> tuple[str, list[Source]]:
    """Finds the levels in a folder or file, by the file names of the PyTorch implementations.

    Args:
      source: A folder of `{level}model_SA_best.pth.tar` or, if there are none, `{level}checkpoint.pth.tar`; OpenLTH's
        `lottery_*` or one `replicate_*` of it; a folder of state dicts, one per level in natural order; or one file.
      seed: Seed of a single replicate; by default 0, for OpenLTH one less than the number of the replicate.
      level: Level of a single state dict, or of the first of a folder; by default 0. Other files name their levels.

    Returns:
      `(form, levels)`: `'cifar'`, `'openlth'` or `'state dicts'`, and the levels, sorted by seed and level.

    Raises:
      ValueError: If there are no levels, or some are missing.
    """
    if not source.exists():
        raise ValueError(f"{source} does not exist; give a folder of tickets or one file")
    searches = {"openlth": _openlth(source), "cifar": _cifar(source), "state dicts": _bare(source, level or 0)}
    form, found = next(((form, sorted(found)) for form, found in searches.items() if found), ("", []))
    if not found:
        wanted = "*model_SA_best.pth.tar, level_*/main/mask.pth, *.pth, *.pt or *.pth.tar"
        raise ValueError(f"{source}: got no tickets, expected {wanted}; to export, give a folder that contains ticket/")
    if level is not None and form != "state dicts":
        raise ValueError(f"--level: got {level}, but the files in {source} name their levels; omit it")
    if seed is not None:
        if found[0].seed != found[-1].seed:
            raise ValueError(f"--seed: got {seed}, but {source} contains several replicates; give one of them")
        found = [one._replace(seed=seed) for one in found]
    return form, _contiguous(found)


def read(source: Source, load: Load) -> Contents:
    """Reads one level.

    Args:
      source: From `find`.
      load: Function that reads a file.

    Returns:
      The contents of its files.

    Raises:
      ValueError: If a file cannot be read or does not contain a state dict.
    """
    content = load(source.weights)
    masks = load(source.mask) if source.mask else {}
    if not isinstance(content, Mapping) or "model_state_dict" in content:
        raise ValueError(f"{source.weights}: got a training checkpoint, expected a state dict; give tickets")
    state = content.get("state_dict", content)
    for path, arrays in ((source.weights, state), (source.mask, masks)):
        if not isinstance(arrays, Mapping) or not all(isinstance(a, np.ndarray) for a in arrays.values()):
            raise ValueError(f"{path}: expected a state dict, a mapping from names to tensors")
    if state is content:
        return Contents(dict(state), dict(masks))
    epoch = content.get("epoch")
    best = content.get("best_sa")
    if not _BEST.fullmatch(source.weights.name):
        best = None  # the best accuracy so far, maybe of other weights
    epoch = None if epoch is None else int(epoch)
    accuracy = None if best is None else float(best) / 100
    return Contents(dict(state), dict(masks), epoch, accuracy)


def load(path: Path) -> Any:
    """Reads a file of `torch.save` without executing pickled code.

    Args:
      path: The file.

    Returns:
      The saved object, with tensors as numpy arrays.

    Raises:
      ValueError: If PyTorch is not installed, or the file is corrupt, of another format, or contains Python objects.
    """
    torch = _torch()
    try:
        return _plain(torch.load(path, map_location="cpu", weights_only=True), torch)
    except Exception as error:  # corrupt files raise many types, with messages of several lines
        message = " ".join(str(error).split())
        if message.startswith("Weights only"):
            reason = "it contains Python objects, which lpjax does not execute; save only the state_dict"
        else:
            reason = f"it is corrupt or not a PyTorch file: {type(error).__name__}, {message[:_SHOWN]}; get it again"
        raise ValueError(f"cannot read {path}: {reason}") from error


def save(path: Path, state: Mapping[str, np.ndarray]) -> None:
    """Writes a state dict with `torch.save`, atomically.

    Args:
      path: The file; its folder is created if missing.
      state: Arrays by name.

    Raises:
      ValueError: If PyTorch is not installed.
    """
    torch = _torch()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    torch.save({name: torch.from_numpy(array.copy()) for name, array in state.items()}, temporary)
    temporary.replace(path)


def digest(path: Path) -> str:
    """Computes the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise ValueError("PyTorch is required for these files; install it (pip install torch)") from error
    return torch


def _plain(value: Any, torch: Any) -> Any:
    if isinstance(value, torch.Tensor):
        tensor = value.detach()
        if tensor.dtype in (torch.float16, torch.bfloat16):
            tensor = tensor.float()
        return tensor.numpy()
    if isinstance(value, Mapping):
        return {name: _plain(entry, torch) for name, entry in value.items()}
    return value


def _cifar(source: Path) -> list[Source]:
    paths = list(source.iterdir()) if source.is_dir() else [source]
    for pattern in (_BEST, _LAST):
        matches = [(pattern.fullmatch(path.name), path) for path in paths]
        found = [Source(0, int(match[1]), path) for match, path in matches if match]
        if found:
            return found
    return []


def _bare(source: Path, first: int) -> list[Source]:
    paths = [source] if source.is_file() else [path for path in source.iterdir() if path.name.endswith(_SUFFIXES)]
    return [Source(0, level, path) for level, path in enumerate(sorted(paths, key=_natural), start=first)]


def _openlth(source: Path) -> list[Source]:
    found = []
    ends = {}
    for folder in (source, *source.glob("replicate_*")):
        replicate = re.fullmatch(r"replicate_([1-9]\d*)", folder.resolve().name)
        for main in folder.glob("level_[0-9]*/main"):
            models = {(int(match[1]), int(match[2])): match[0] for match in _models(main)}
            if not models:
                raise ValueError(f"{main} lacks model_ep*_it*.pth: the level is incomplete")
            if not (main / "mask.pth").exists():
                raise ValueError(f"{main} lacks mask.pth: the level is incomplete")
            end = max(models)
            ends[end] = main
            seed = int(replicate[1]) - 1 if replicate else 0
            level = int(main.parent.name.removeprefix("level_"))
            found.append(Source(seed, level, main / models[end], main / "mask.pth"))
    if len(ends) > 1:
        (epoch, iteration), short = min(ends.items())
        raise ValueError(
            f"{short} ends at epoch {epoch}, iteration {iteration}, before other levels; finish its training"
        )
    return found


def _models(main: Path) -> Iterator[re.Match[str]]:
    return filter(None, (_OPENLTH_MODEL.fullmatch(path.name) for path in main.iterdir()))


def _contiguous(sources: list[Source]) -> list[Source]:
    for before, after in itertools.pairwise(sources):
        if before.seed == after.seed and after.level != before.level + 1:
            raise ValueError(
                f"level {before.level} is followed by level {after.level} ({after.weights}); give those between"
            )
    return sources


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]
