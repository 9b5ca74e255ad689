"""Find, read and write PyTorch files; the only module that needs PyTorch."""

import contextlib
import hashlib
import io
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from lpjax import store
from lpjax.errors import UserError
from lpjax.interop import safetensors

_BEST = re.compile(r"(\d+)model_SA_best\.pth\.tar")
_LAST = re.compile(r"(\d+)checkpoint\.pth\.tar")
_OPENLTH_MODEL = re.compile(r"model_ep(\d+)_it(\d+)\.pth")
_MASK_WORD = re.compile(r"[._-]?(?<![a-z])masks?(?![a-z])[._-]?", re.IGNORECASE)
SUFFIXES = (safetensors.SUFFIX, ".pth.tar", ".pth", ".pt", ".th")
"""Of state dicts that can be read."""
_FILE = re.compile(f"(.+)({'|'.join(map(re.escape, SUFFIXES))})")
# If a checkpoint holds several networks, e.g. a moving average too, the first of these is read.
_WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "net", "network")
_SHOWN = 80


class Source(NamedTuple):
    """The files of one level: of seed `seed`, after `level` prunings; `mask` is None without a file of masks."""

    seed: int
    level: int
    weights: Path
    mask: Path | None = None


class Contents(NamedTuple):
    """The contents of the files of one level.

    Attributes:
      state: The state dict; masks that were stored apart from it are `X_mask` in it.
      known: What the files say of the ticket: `epoch` and `validation_accuracy` (a fraction), and all else that lpjax
        wrote into its own.
      ignored: Names of entries that are no tensors.
    """

    state: dict[str, np.ndarray]
    known: Mapping[str, Any] = MappingProxyType({})
    ignored: tuple[str, ...] = ()


def find(source: Path, seed: int | None = None, level: int | None = None) -> tuple[str, list[Source]]:
    """Find the levels in a folder or file, by the file names of the PyTorch implementations.

    Returns `'cifar'`, `'openlth'` or `'state dicts'`, and the levels, sorted by seed and level. `seed` is that of a
    single replicate, by default 0, for OpenLTH one less than the number of the replicate; `level` is that of a single
    state dict, or of the first of a folder. Safetensors files that lpjax wrote say both themselves.
    """
    if not source.exists():
        raise UserError(f"{source} does not exist; give a folder of tickets or one file")
    form, found = _search(source, level)
    found.sort()
    if level is not None and form != "state dicts":
        raise UserError(f"--level: got {level}, but the files in {source} name their levels; omit it")
    if seed is not None:
        if found[0].seed != found[-1].seed:
            raise UserError(f"--seed: got {seed}, but {source} contains several replicates; give one of them")
        found = [one._replace(seed=seed) for one in found]
    check_levels([(one.seed, one.level, one.weights) for one in found])
    return form, found


def read(source: Source, load: Callable[[Path], Any]) -> Contents:
    """Read one level with `load`, which returns nested dicts of numpy arrays and Python values."""
    content = load(source.weights)
    state, masks = _weights_and_masks(content, source.weights)
    if source.mask:
        masks = _only_masks(load(source.mask), source.mask)
    arrays = {name: array for name, array in state.items() if _is_tensor(str(name), array)}
    ignored = tuple(str(name) for name in state if name not in arrays)
    for name, mask in masks.items():
        arrays[f"{name.removesuffix('_mask').removesuffix('.mask')}_mask"] = mask
    if source.weights.suffix == safetensors.SUFFIX:
        return Contents(arrays, safetensors.read_record(source.weights).get("provenance", {}), ignored)
    known = {} if state is content else _training(content, source.weights)
    return Contents(arrays, known, ignored)


def _training(checkpoint: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Read the epochs trained, and the accuracy if it is that of these weights and not maybe of earlier ones."""
    known: dict[str, Any] = {}
    if checkpoint.get("epoch") is not None:
        known["epoch"] = int(checkpoint["epoch"])
    if checkpoint.get("best_sa") is not None and _BEST.fullmatch(path.name):
        known["validation_accuracy"] = float(checkpoint["best_sa"]) / 100
    return known


def _is_tensor(name: str, value: Any) -> bool:
    return isinstance(value, np.ndarray) and (value.ndim > 0 or name.endswith("num_batches_tracked"))


def load(path: Path) -> Any:
    """Read a file of `torch.save` or of safetensors, without executing pickled code, as arrays and Python values."""
    package = "safetensors" if path.suffix == safetensors.SUFFIX else "torch"
    try:
        return safetensors.load(path) if package == "safetensors" else _read_torch(path)
    except ImportError as error:
        raise missing(package) from error
    except Exception as error:  # corrupt files raise many types, with messages of several lines
        message = " ".join(str(error).split())
        if message.startswith("Weights only"):
            reason = "it contains Python objects, which lpjax does not execute; save only the state_dict"
        else:
            said = f"{type(error).__name__}, {message[:_SHOWN]}"
            reason = f"it is corrupt or not a file of {package}: {said}; get it again"
        raise UserError(f"cannot read {path}: {reason}") from error


def save(path: Path, state: Mapping[str, np.ndarray]) -> None:
    """Write a state dict with `torch.save`, atomically."""
    try:
        import torch
    except ImportError as error:
        raise missing("torch") from error
    written = io.BytesIO()  # PyTorch itself would not say that the disk is full
    torch.save({name: torch.from_numpy(array.copy()) for name, array in state.items()}, written)
    store.write_bytes(path, written.getvalue())


def digest(path: Path) -> str:
    """Compute the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Begin errors with the file they are about."""
    try:
        yield
    except UserError as error:
        message = str(error)
        raise UserError(message if str(path) in message else f"{path}: {message}") from error


def missing(package: str) -> UserError:
    """Say which package to install."""
    return UserError(f"the package {package} is required for these files; install it (pip install {package})")


def _read_torch(path: Path) -> Any:
    import torch

    # Checkpoints often hold a NumPy number, such as the best accuracy; NumPy 1 wrote it under another name.
    scalar = np.float64(0).__reduce__()[0]
    kinds = {type(np.dtype(code)) for code in np.typecodes["AllInteger"] + np.typecodes["AllFloat"] + "?"}
    numbers = [np.dtype, *kinds, scalar, (scalar, "numpy.core.multiarray.scalar")]
    with torch.serialization.safe_globals(numbers):
        return _to_numpy(torch.load(path, map_location="cpu", weights_only=True))


def _to_numpy(value: Any) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        tensor = value.detach()
        return (tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor).numpy()
    if isinstance(value, Mapping):
        return {name: _to_numpy(entry) for name, entry in value.items()}
    return value


def _weights_and_masks(content: Any, path: Path) -> tuple[Mapping[str, Any], dict[str, np.ndarray]]:
    """Choose the state dict of a checkpoint, and the masks that are stored beside it."""
    networks = []
    masks = []
    for name, entries in _dicts_of_tensors(content):
        if _are_masks(entries):
            masks.append(entries)
        else:
            networks.append((name, entries))
    if masks and not networks:
        raise UserError(
            f"{path}: got masks (only zeros and ones), expected a state dict of weights; "
            "name it as the file of its weights with _mask, e.g. net_mask.pth beside net.pth"
        )
    if len(masks) > 1:
        raise UserError(f"{path}: got {len(masks)} dicts of masks, expected one; save only those of this level")
    return _choose(networks, path), _only_masks(masks[0], path) if masks else {}


def _choose(networks: list[tuple[str, Mapping[str, Any]]], path: Path) -> Mapping[str, Any]:
    """Choose the state dict among the dicts of a checkpoint, by their names if there are several."""
    if not networks:
        raise UserError(f"{path}: got no tensors of a network, expected a state dict, alone or in a checkpoint")
    if len(networks) == 1:
        return networks[0][1]
    for wrapper in _WRAPPERS:
        for name, entries in networks:
            if name == wrapper:
                return entries
    names = ", ".join(repr(name) for name, _ in networks)
    raise UserError(f"{path}: got several networks ({names}), expected one; save only its state_dict")


def _dicts_of_tensors(content: Any, name: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield every dict that holds the tensors of a network or its masks; the state of an optimizer is left out."""
    if not isinstance(content, Mapping):
        return
    if any(isinstance(value, np.ndarray) and value.ndim > 1 for value in content.values()):
        yield name, content
        return
    for key, value in content.items():
        if "optim" not in str(key):
            yield from _dicts_of_tensors(value, str(key))


def _are_masks(entries: Mapping[str, Any]) -> bool:
    matrices = [value for value in entries.values() if isinstance(value, np.ndarray) and value.ndim > 1]
    return all(np.isin(matrix, (0, 1)).all() for matrix in matrices)


def _only_masks(content: Any, path: Path) -> dict[str, np.ndarray]:
    found = list(_dicts_of_tensors(content))
    if len(found) != 1 or not _are_masks(found[0][1]):
        raise UserError(f"{path}: expected one dict of masks, tensors of zeros and ones by the names of weights")
    return {name: value for name, value in found[0][1].items() if isinstance(value, np.ndarray) and value.ndim}


def check_levels(found: Iterable[tuple[int, int, Path]]) -> None:
    """Refuse two files of one level, and levels without those between.

    Args:
      found: Seed, level and file, sorted.

    Raises:
      UserError: If the levels of a seed do not follow each other.
    """
    for (seed, level, path), (next_seed, next_level, next_path) in itertools.pairwise(found):
        if seed != next_seed:
            continue
        if level == next_level:
            raise UserError(f"{path} and {next_path} are both level {level} of seed {seed}; give one of them")
        if next_level != level + 1:
            raise UserError(f"level {level} is followed by level {next_level} ({next_path}); give those between")


def _search(source: Path, first: int | None) -> tuple[str, list[Source]]:
    found = _openlth(source)
    if found:
        return "openlth", found
    found = _cifar(source)
    if found:
        return "cifar", found
    found = _state_dicts(source, first)
    if found:
        return "state dicts", found
    wanted = "*.lpz, *model_SA_best.pth.tar, level_*/main/mask.pth, *.pth, *.pt, *.pth.tar, *.th or *.safetensors"
    raise UserError(f"{source}: got no tickets, expected {wanted}; to export, give a folder that contains ticket/")


def _cifar(source: Path) -> list[Source]:
    paths = list(source.iterdir()) if source.is_dir() else [source]
    for pattern in (_BEST, _LAST):
        found = []
        for path in paths:
            if match := pattern.fullmatch(path.name):
                found.append(Source(0, int(match[1]), path))
        if found:
            return found
    return []


def _state_dicts(source: Path, first: int | None) -> list[Source]:
    folder = source if source.is_dir() else source.parent
    paths = sorted((path for path in folder.iterdir() if _FILE.fullmatch(path.name)), key=natural)
    masks = [path for path in paths if _MASK_WORD.search(path.name)]
    networks = [path for path in paths if path not in masks]
    pairs = _pairs(masks, networks, strict=source.is_dir())
    if source.is_file():
        networks = [source]
    found = []
    for level, path in enumerate(networks, start=0 if first is None else first):
        known = safetensors.read_record(path).get("provenance", {}) if path.suffix == safetensors.SUFFIX else {}
        if first is None and "level" in known:
            found.append(Source(known.get("seed", 0), known["level"], path, pairs.get(path)))
        else:
            found.append(Source(0, level, path, pairs.get(path)))
    return found


def _pairs(masks: list[Path], networks: list[Path], strict: bool) -> dict[Path, Path]:
    """Find the file of masks of each network that has one."""
    pairs = {}
    for mask in masks:
        fitting = _networks_of(mask, networks)
        if len(fitting) == 1:
            pairs[fitting[0]] = mask
        elif strict:
            raise UserError(
                f"{mask}: got masks of {len(fitting)} files of weights, expected one; "
                "name it as that file with _mask, e.g. net_mask.pth beside net.pth"
            )
    return pairs


def _networks_of(mask: Path, networks: list[Path]) -> list[Path]:
    """Find whose masks these are: `net3_mask.pth` those of `net3.pth`, `masks.pth` those of the only file beside it."""
    name = _MASK_WORD.sub("", _stem(mask))
    if not name:
        return networks
    number = _last_number(name)
    same = [path for path in networks if _stem(path) == name]
    return same or [path for path in networks if number and _last_number(_stem(path)) == number]


def _stem(path: Path) -> str:
    match = _FILE.fullmatch(path.name)
    return match[1] if match else path.name


def _last_number(name: str) -> str:
    return "".join(re.findall(r"\d+", name)[-1:])


def _openlth(source: Path) -> list[Source]:
    found = []
    ends = {}
    for folder in (source, *source.glob("replicate_*")):
        replicate = re.fullmatch(r"replicate_([1-9]\d*)", folder.resolve().name)
        seed = int(replicate[1]) - 1 if replicate else 0
        for main in folder.glob("level_[0-9]*/main"):
            models = {}
            for path in main.iterdir():
                if match := _OPENLTH_MODEL.fullmatch(path.name):
                    models[int(match[1]), int(match[2])] = path
            if not models:
                raise UserError(f"{main} lacks model_ep*_it*.pth: the level is incomplete; finish its training")
            if not (main / "mask.pth").exists():
                raise UserError(f"{main} lacks mask.pth: the level is incomplete; finish its training")
            end = max(models)
            ends[end] = main
            level = int(main.parent.name.removeprefix("level_"))
            found.append(Source(seed, level, models[end], main / "mask.pth"))
    if len(ends) > 1:
        (epoch, iteration), short = min(ends.items())
        raise UserError(
            f"{short} ends at epoch {epoch}, iteration {iteration}, before other levels; finish its training"
        )
    return found


def natural(path: Path) -> list[tuple[int, str]]:
    """Return a sort key by which `net_9` precedes `net_10`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]
