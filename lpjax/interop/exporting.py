"""A ticket of lpjax becomes a state dict of the PyTorch implementations."""

from collections.abc import Iterator
from pathlib import Path

from lpjax import data, sparsity, store
from lpjax.interop import files
from lpjax.interop.destination import RECORD
from lpjax.interop.layout import to_state_dict
from lpjax.interop.masks import split_masks
from lpjax.interop.recognize import recognize
from lpjax.store import paths


def export_ticket(source: Path, destination: Path, *, form: str = "", dataset: str = "") -> Iterator[str]:
    """Writes the ticket of a level or pool as a state dict that the original network loads strictly.

    Args:
      source: A directory that holds `ticket/`.
      destination: A file to be.
      form: See `to_state_dict`; by default `'pruned'` for the networks of the Lottery Pools code, `'plain'` for others.
      dataset: Whose normalization to build in, or `'none'`; by default that of the work directory, where the original
        network has one.

    Yields:
      A line to show.

    Raises:
      ValueError: If the ticket is damaged or the file exists.
    """
    if destination.suffix not in (".pth", ".pt") or destination.exists():
        taken = "exists" if destination.exists() else "names no .pth file"
        raise ValueError(f"{destination} {taken}; give a new file such as ticket.pth")
    ticket = store.restore_ticket(paths.ticket(source))
    weights, _ = split_masks(to_state_dict(ticket, form="plain"))
    model = recognize(weights).model
    openlth = model.startswith("imagenet_")
    bare = openlth or model.startswith(("suptickets_", "wide_"))  # whose code keeps masks and normalization elsewhere
    known = dataset or ("none" if bare else _dataset(source))
    state = to_state_dict(
        ticket, form=form or ("plain" if bare else "pruned"), normalize=data.PUBLISHED.get(known.partition(":")[0])
    )
    files.save(destination, {f"model.{name}": array for name, array in state.items()} if openlth else state)
    kept = int(sparsity.kept(ticket.mask))
    yield f"{model}: kept {kept:,} ({sparsity.density(ticket.mask):.4f}), {len(state)} entries: {destination}"


def _dataset(source: Path) -> str:
    for parent in source.resolve().parents:
        for record in (parent / RECORD, paths.config(parent)):
            if record.exists():
                return store.read_json(record).get("dataset") or "none"
    return "none"
