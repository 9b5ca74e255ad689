"""What lies in a folder of PyTorch files, and how they are read and written: the only module that needs PyTorch."""

import hashlib
import itertools
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

Load = Callable[[Path], Any]
"""Reads a file as nested dicts of numpy arrays and Python values; refuses with a `ValueError` of one line."""

_BEST = re.compile(r"(\d+)model_SA_best\.pth\.tar")
_LAST = re.compile(r"(\d+)checkpoint\.pth\.tar")
_OPENLTH_MODEL = re.compile(r"model_ep(\d+)_it(\d+)\.pth")
_SUFFIXES = (".pth", ".pt", ".pth.tar")
_SHOWN = 80


class Source(NamedTuple):
    """Where one level lies.

    Attributes:
      seed: The replicate.
      level: Number of prunings done.
      weights: The file of its weights.
      mask: The file of its masks, where they have one of their own.
    """

    seed: int
    level: int
    weights: Path
    mask: Path | None = None


class Contents(NamedTuple):
    """What the files of one level say.

    Attributes:
      state: The state dict, in numpy.
      masks: Zeros and ones by weight, where they have a file of their own.
      epoch: Epochs trained, if known.
      validation_accuracy: Of these weights, a fraction, if known.
    """

    state: dict[str, np.ndarray]
    masks: dict[str, np.ndarray]
    epoch: int | None = None
    validation_accuracy: float | None = None


def find(source: Path, seed: int | None = None, level: int | None = None) -> tuple[str, list[Source]]:
    """Finds the levels in a folder or file, by the names that the PyTorch implementations give.

    Args:
      source: A folder of `{level}model_SA_best.pth.tar` (or else `{level}checkpoint.pth.tar`); OpenLTH's `lottery_*`
        or one `replicate_*` of it; a folder of state dicts, levels in natural order; or one file.
      seed: What to call the one replicate; by default 0, of OpenLTH's `replicate_1` too, and 1 of `replicate_2`.
      level: Of a lone state dict, or of the first of a folder; 0 by default. Other files name their levels.

    Returns:
      `(form, levels)`: `'cifar'`, `'openlth'` or `'state dicts'`, and the levels, seed by seed in ascending order.

    Raises:
      ValueError: If there are none, or levels are missing.
    """
    if not source.exists():
        raise ValueError(f"{source} does not exist; give a folder of tickets or one file")
    searches = {"openlth": _openlth(source), "cifar": _cifar(source), "state dicts": _bare(source, level or 0)}
    form, found = next(((form, sorted(found)) for form, found in searches.items() if found), ("", []))
    if not found:
        wanted = "*model_SA_best.pth.tar, level_*/main/mask.pth, *.pth, *.pt or *.pth.tar"
        raise ValueError(
            f"{source} holds no tickets: there is no {wanted} in it; to export, give a folder that holds ticket/"
        )
    if level is not None and form != "state dicts":
        raise ValueError(f"--level={level} is for bare state dicts; in {source} names tell the levels")
    if seed is not None:
        if found[0].seed != found[-1].seed:
            raise ValueError(f"--seed={seed} is for one replicate; {source} holds several, replicate_1 being seed 0")
        found = [one._replace(seed=seed) for one in found]
    return form, _contiguous(found)


def read(source: Source, load: Load) -> Contents:
    """Reads one level.

    Args:
      source: From `find`.
      load: Reads a file.

    Returns:
      What its files say.

    Raises:
      ValueError: If a file cannot be read or holds no state dict.
    """
    content, masks = load(source.weights), load(source.mask) if source.mask else {}
    if not isinstance(content, Mapping) or "model_state_dict" in content:
        raise ValueError(f"{source.weights} holds no state dict; give tickets, not what a training was resumed from")
    state = content.get("state_dict", content)
    for path, arrays in ((source.weights, state), (source.mask, masks)):
        if not isinstance(arrays, Mapping) or not all(isinstance(a, np.ndarray) for a in arrays.values()):
            raise ValueError(f"{path} holds no state dict: it is no mapping from names to tensors alone")
    if state is content:
        return Contents(dict(state), dict(masks))
    epoch, best = content.get("epoch"), content.get("best_sa")
    if not _BEST.fullmatch(source.weights.name):
        best = None  # the best so far, which other weights may have reached
    return Contents(
        dict(state), dict(masks), None if epoch is None else int(epoch), None if best is None else float(best) / 100
    )


def load(path: Path) -> Any:
    """Reads a file that `torch.save` wrote, without running what it holds.

    Args:
      path: The file.

    Returns:
      What was saved, tensors as numpy arrays.

    Raises:
      ValueError: If PyTorch is not installed, or the file is none of its own, damaged, or more than tensors.
    """
    torch = _torch()
    try:
        return _plain(torch.load(path, map_location="cpu", weights_only=True), torch)
    except Exception as error:  # damaged files fail in a dozen ways, and say it in many lines
        said = " ".join(str(error).split())
        reason = (
            "it holds Python objects beside tensors and numbers, which lpjax does not run; save its state_dict alone"
            if said.startswith("Weights only")
            else f"it is damaged or none of PyTorch's: {type(error).__name__}, {said[:_SHOWN]}; fetch it anew"
        )
        raise ValueError(f"cannot read {path}: {reason}") from error


def save(path: Path, state: Mapping[str, np.ndarray]) -> None:
    """Writes a state dict as `torch.save` does, whole or not at all.

    Args:
      path: The file; its folder is created if need be.
      state: Arrays by name.

    Raises:
      ValueError: If PyTorch is not installed.
    """
    torch = _torch()
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    torch.save({name: torch.from_numpy(array.copy()) for name, array in state.items()}, beside)
    beside.replace(path)


def digest(path: Path) -> str:
    """Computes the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise ValueError("PyTorch reads and writes these files; install PyTorch (pip install torch)") from error
    return torch


def _plain(value: Any, torch: Any) -> Any:
    if isinstance(value, torch.Tensor):
        tensor = value.detach()
        return (tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor).numpy()
    return {name: _plain(entry, torch) for name, entry in value.items()} if isinstance(value, Mapping) else value


def _cifar(source: Path) -> list[Source]:
    paths = list(source.iterdir()) if source.is_dir() else [source]
    for pattern in (_BEST, _LAST):
        if found := [Source(0, int(match[1]), path) for path in paths if (match := pattern.fullmatch(path.name))]:
            return found
    return []


def _bare(source: Path, first: int) -> list[Source]:
    paths = [source] if source.is_file() else [path for path in source.iterdir() if path.name.endswith(_SUFFIXES)]
    return [Source(0, level, path) for level, path in enumerate(sorted(paths, key=_natural), start=first)]


def _openlth(source: Path) -> list[Source]:
    found, ends = [], {}
    for folder in (source, *source.glob("replicate_*")):
        replicate = re.fullmatch(r"replicate_([1-9]\d*)", folder.resolve().name)
        for main in folder.glob("level_[0-9]*/main"):
            models = {(int(match[1]), int(match[2])): match[0] for match in _models(main)}
            if not models or not (main / "mask.pth").exists():
                raise ValueError(
                    f"{main} has no {'mask.pth' if models else 'model_ep*_it*.pth'}: the level is not whole"
                )
            end = max(models)
            ends[end] = main
            level = int(main.parent.name.removeprefix("level_"))
            found.append(
                Source(int(replicate[1]) - 1 if replicate else 0, level, main / models[end], main / "mask.pth")
            )
    if len(ends) > 1:
        (epoch, iteration), short = min(ends.items())
        raise ValueError(f"{short} ends at epoch {epoch}, iteration {iteration}, others later: let it train to its end")
    return found


def _models(main: Path) -> Iterator[re.Match[str]]:
    return filter(None, (_OPENLTH_MODEL.fullmatch(path.name) for path in main.iterdir()))


def _contiguous(sources: list[Source]) -> list[Source]:
    for before, after in itertools.pairwise(sources):
        if before.seed == after.seed and after.level != before.level + 1:
            raise ValueError(
                f"level {before.level} is followed by level {after.level} ({after.weights}); give levels without gaps"
            )
    return sources


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]
