"""Export of tickets as state dicts of the PyTorch implementations."""

from collections.abc import Iterator
from pathlib import Path

import jax

from lpjax import data, sparsity, store
from lpjax.interop import files
from lpjax.interop.destination import RECORD
from lpjax.interop.layout import to_state_dict
from lpjax.interop.masks import split_masks
from lpjax.interop.recognize import recognize
from lpjax.store import paths
from lpjax.types import Variables


def export_ticket(source: Path, destination: Path, *, form: str = "", dataset: str = "") -> Iterator[str]:
    """Writes the ticket of a level or pool as a state dict for `load_state_dict(strict=True)` of the original network.

    Args:
      source: A directory that contains `ticket/`.
      destination: The new file, `.pth` or `.pt`.
      form: As for `to_state_dict`; by default `'pruned'` for the networks of the Lottery Pools code, `'plain'` for
        others.
      dataset: The data set whose normalization constants are included, or `'none'`; by default that of the work
        directory, if the original network includes normalization.

    Yields:
      A line of output.

    Raises:
      ValueError: If the ticket is corrupt or the file exists.
    """
    if destination.suffix not in (".pth", ".pt") or destination.exists():
        problem = "exists" if destination.exists() else "is not a .pth or .pt file"
        raise ValueError(f"{destination} {problem}; give a new file, e.g. ticket.pth")
    ticket = store.restore_ticket(paths.ticket(source))
    stored = store.restore_mask(paths.ticket(source))
    prunable = Variables(
        jax.tree.map(lambda leaf: leaf.ndim > 0, stored), jax.tree.map(lambda _: False, ticket.params.stats)
    )
    weights, _ = split_masks(to_state_dict(ticket, form="plain", prunable=prunable))
    model = recognize(weights).model
    openlth = model.startswith("imagenet_")
    bare = openlth or model.startswith(("suptickets_", "wide_"))  # whose code stores masks and normalization elsewhere
    known = dataset or ("none" if bare else _dataset(source))
    state = to_state_dict(
        ticket,
        form=form or ("plain" if bare else "pruned"),
        normalize=data.PUBLISHED.get(known.partition(":")[0]),
        prunable=prunable,
    )
    files.save(destination, {f"model.{name}": array for name, array in state.items()} if openlth else state)
    kept = int(sparsity.kept(ticket.mask, prunable))
    yield f"{model}: kept {kept:,} ({sparsity.density(ticket.mask, prunable):.4f}), {len(state)} entries: {destination}"


def _dataset(source: Path) -> str:
    for parent in source.resolve().parents:
        for record in (parent / RECORD, paths.config(parent)):
            if record.exists():
                return store.read_json(record).get("dataset") or "none"
    return "none"
