"""Export tickets as state dicts of the PyTorch implementations."""

from collections.abc import Iterator
from pathlib import Path

import jax

from lpjax import data, sparsity, store
from lpjax.errors import UserError
from lpjax.interop import files
from lpjax.interop.destination import RECORD
from lpjax.interop.layout import to_state_dict
from lpjax.interop.masks import split_masks
from lpjax.interop.recognize import recognize
from lpjax.store import paths
from lpjax.types import Variables

# The code of these stores masks and normalization elsewhere.
_WEIGHTS_ALONE = ("imagenet_", "openlth_", "suptickets_", "wide_")


def ticket_directory(source: Path) -> Path | None:
    """Return the directory of the ticket of `.../level_09` or `.../level_09/ticket`; None if there is none."""
    for directory in (paths.ticket(source), source):
        if directory.name == paths.ticket(source).name and directory.is_dir():
            return directory
    return None


def export_ticket(source: Path, destination: Path, *, form: str = "", dataset: str = "") -> Iterator[str]:
    """Write the ticket of a level or pool as a state dict for `load_state_dict(strict=True)` of the original network.

    The form and the data set whose normalization constants are included are by default those of the original network's
    code. Yields a line of output.
    """
    _check_destination(destination)
    directory = ticket_directory(source)
    if directory is None:
        raise UserError(f"{source} contains no ticket/; give the directory of a level or pool")
    ticket = store.restore_ticket(directory)
    if not isinstance(ticket.params, Variables):
        raise UserError(f"{directory} has no batch statistics; give a ticket of a network of lpjax.models")
    stored = store.restore_mask(directory)
    prunable = Variables(
        jax.tree.map(lambda leaf: leaf.ndim > 0, stored), jax.tree.map(lambda _: False, ticket.params.stats)
    )
    with files.naming(directory):
        weights, _ = split_masks(to_state_dict(ticket, form="plain", prunable=prunable))
        model = recognize(weights).model
    if model.startswith(_WEIGHTS_ALONE):
        form = form or "plain"
        dataset = dataset or "none"
    known = dataset or _dataset(source)
    normalize = data.PUBLISHED.get(known.partition(":")[0])
    state = to_state_dict(ticket, form=form or "pruned", normalize=normalize, prunable=prunable)
    if model.startswith("imagenet_"):
        state = {f"model.{name}": array for name, array in state.items()}
    files.save(destination, state)
    kept = int(sparsity.kept(ticket.mask, prunable))
    yield f"{model}: kept {kept:,} ({sparsity.density(ticket.mask, prunable):.4f}), {len(state)} entries: {destination}"


def _check_destination(destination: Path) -> None:
    if destination.exists():
        raise UserError(f"{destination} exists; give a new file, e.g. ticket.pth")
    if destination.suffix not in (".pth", ".pt"):
        raise UserError(f"{destination} is not a .pth or .pt file; give e.g. ticket.pth")


def _dataset(source: Path) -> str:
    for parent in source.resolve().parents:
        for record in (parent / RECORD, paths.config(parent)):
            if record.exists():
                return store.read_json(record).get("dataset") or "none"
    return "none"
