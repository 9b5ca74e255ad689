"""Export tickets: as state dicts of the PyTorch implementations, and as packed files."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from lpjax import data, sparsity, store
from lpjax.choices import one_of
from lpjax.errors import UserError
from lpjax.interop import files, packed, safetensors
from lpjax.interop.layout import to_state_dict, torch_keys
from lpjax.interop.masks import split_masks
from lpjax.interop.origin import recorded_config
from lpjax.interop.recognize import recognize
from lpjax.store import paths
from lpjax.types import PyTree, Ticket, Variables

# By the first word of a model's name; the code of these stores masks and normalization elsewhere.
_WEIGHTS_ALONE = {
    "imagenet": "OpenLTH",
    "openlth": "OpenLTH",
    "suptickets": "the Sup-tickets code",
    "wide": "the Sup-tickets code",
}
_OTHERS = "the Lottery Pools code"
TORCH_SUFFIXES = (".pth", ".pt")
"""Of files of `torch.save` that are written."""


class WrittenStateDict(NamedTuple):
    """What was written.

    Attributes:
      line: Of output.
      form: `'pruned'` or `'plain'`.
      about: For which network of PyTorch it is, and whether normalization is part of it.
    """

    line: str
    form: str
    about: str


class SavedTicket(NamedTuple):
    """A ticket of a work directory.

    Attributes:
      directory: The level's or the pool's.
      ticket: In numpy arrays.
      prunable: A tree of bools like its parameters: which leaves count.
    """

    directory: Path
    ticket: Ticket
    prunable: PyTree

    @property
    def counts(self) -> str:
        """Kept weights and density, for a line of output."""
        kept = int(sparsity.kept(self.ticket.mask, self.prunable))
        return f"kept {kept:,} ({sparsity.density(self.ticket.mask, self.prunable):.4f})"


def ticket_directory(source: Path) -> Path | None:
    """Return the directory of the ticket of `.../level_09` or `.../level_09/ticket`; None if there is none."""
    for directory in (paths.ticket(source), source):
        if directory.name == paths.ticket(source).name and directory.is_dir():
            return directory
    return None


def read_saved(source: Path) -> SavedTicket:
    """Read the ticket of a level or pool, with which of its leaves are prunable.

    Args:
      source: `.../level_09` or `.../level_09/ticket`.

    Raises:
      UserError: If there is none, or it is damaged.
    """
    directory = ticket_directory(source)
    if directory is None:
        raise UserError(f"{source} contains no ticket/; give the directory of a level or pool")
    ticket = store.restore_ticket(directory)
    # The mask of a leaf that is never pruned is stored as a scalar.
    prunable = jax.tree.map(lambda leaf: leaf.ndim > 0, store.restore_mask(directory))
    if isinstance(ticket.params, Variables):
        prunable = Variables(prunable, jax.tree.map(lambda _: False, ticket.params.stats))
    return SavedTicket(directory.parent, ticket, prunable)


def export_ticket(
    source: Path,
    destination: Path,
    *,
    form: str = "",
    dataset: str = "",
) -> Iterator[str]:
    """Write the ticket of a level or pool as a state dict for `load_state_dict(strict=True)` of the original network.

    The form and the data set whose normalization constants are included are by default those of the original network's
    code. Yields a line of output.
    """
    check_destination(destination)
    if destination.suffix not in (*TORCH_SUFFIXES, safetensors.SUFFIX):
        raise UserError(f"{destination} is not a .pth, .pt or .safetensors file; give e.g. ticket.pth")
    yield write_state_dict(read_saved(source), destination, form=form, dataset=dataset).line


def write_state_dict(
    saved: SavedTicket,
    destination: Path,
    *,
    form: str = "",
    dataset: str = "",
    dtype: str = "float32",
    provenance: Mapping[str, Any] | None = None,
) -> WrittenStateDict:
    """Write a ticket as a state dict, to a file of PyTorch or of safetensors.

    Args:
      saved: A ticket of a network of `lpjax.models`.
      destination: A `.safetensors` file, or any other for `torch.save`.
      form: `'pruned'` or `'plain'`, see `to_state_dict`; empty for `'plain'` in safetensors files, whose metadata have
        the mask, and for that of the original network's code in others.
      dataset: The data set whose normalization constants are included, `'none'` for none; empty for that of the run.
      dtype: What kept values are rounded to, one of `packed.DTYPES`; others than float32 are for safetensors alone.
      provenance: Written into the metadata of a safetensors file.

    Returns:
      What was written.

    Raises:
      UserError: If the network is none of `lpjax.models`, or a package is missing.
    """
    ticket = saved.ticket
    prunable = saved.prunable
    as_tensors = destination.suffix == safetensors.SUFFIX
    one_of("dtype", dtype, packed.DTYPES)
    if dtype != "float32" and not as_tensors:
        raise UserError(f"dtype: got {dtype}, expected float32 for {destination.suffix}; use .safetensors or .lpz")
    model = _model_of(saved)
    family = model.partition("_")[0]
    if family in _WEIGHTS_ALONE:
        form = form or "plain"
        dataset = dataset or "none"
    form = form or ("plain" if as_tensors else "pruned")
    known = dataset or recorded_config(saved.directory).get("dataset") or "none"
    normalize = data.PUBLISHED.get(known.partition(":")[0])
    state = to_state_dict(ticket, form=form, normalize=normalize, prunable=prunable)
    prefix = "model." if family == "imagenet" else ""
    state = {f"{prefix}{name}": array for name, array in state.items()}
    if as_tensors:
        masks = {f"{prefix}{name}": mask for name, mask in _masks(saved).items()} if form == "plain" else {}
        for name in masks:
            state[name] = packed.round_values(name, state[name], dtype)
        for name in state:
            if name.endswith("_orig"):
                state[name] = packed.round_values(name, state[name], dtype)
        _write_safetensors(destination, state, masks, provenance or {})
    else:
        files.save(destination, state)
    about = f"It is a state dict of `{model}` as {_WEIGHTS_ALONE.get(family, _OTHERS)} defines it. "
    if normalize:
        about += f"Normalization of {known} is included, in `{prefix}normalize.mean` and `{prefix}normalize.std`."
    else:
        about += "No normalization is included: normalize images as in training before the network sees them."
    return WrittenStateDict(f"{model}: {saved.counts}, {len(state)} entries: {destination}", form, about)


def write_packed(
    saved: SavedTicket, destination: Path, *, dtype: str = "float32", provenance: Mapping[str, Any] | None = None
) -> str:
    """Write a ticket as a packed file; see `packed.write_packed`.

    Returns:
      A line of output.
    """
    packed.write_packed(destination, saved.ticket, prunable=saved.prunable, dtype=dtype, provenance=provenance)
    return f"packed: {saved.counts}, {destination.stat().st_size:,} bytes: {destination}"


def check_destination(destination: Path) -> None:
    """Refuse a file that exists."""
    if destination.exists():
        raise UserError(f"{destination} exists; give a new file, e.g. ticket{destination.suffix or '.pth'}")


def _model_of(saved: SavedTicket) -> str:
    """Recognize the network of `lpjax.models`; of others, names in PyTorch are not known."""
    try:
        if isinstance(saved.ticket.params, Variables):
            weights, _ = split_masks(to_state_dict(saved.ticket, form="plain", prunable=saved.prunable))
            return recognize(weights).model
    except UserError as error:
        raise _unknown(saved.directory) from error
    raise _unknown(saved.directory)


def _unknown(directory: Path) -> UserError:
    return UserError(
        f"{paths.ticket(directory)} is of no network of lpjax.models, so its names in PyTorch are not known; export to "
        ".lpz, which takes any network"
    )


def _masks(saved: SavedTicket) -> dict[str, np.ndarray]:
    """List the masks of prunable parameters by their names in state dicts, in PyTorch's layout."""
    flags = dict(zip(jax.tree.leaves(torch_keys(saved.ticket.params)), jax.tree.leaves(saved.prunable), strict=True))
    masks = to_state_dict(Ticket(saved.ticket.mask, saved.ticket.mask), form="plain", prunable=saved.prunable)
    return {name: mask for name, mask in masks.items() if flags.get(name)}


def _write_safetensors(
    path: Path, state: Mapping[str, np.ndarray], masks: Mapping[str, np.ndarray], provenance: Mapping[str, Any]
) -> None:
    try:
        content = safetensors.serialize(state, masks, provenance)
    except ImportError as error:
        raise files.missing("safetensors") from error
    store.write_bytes(path, content)
