"""Import tickets of the PyTorch implementations: all levels of one architecture, with the same prunable weights."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from lpjax import sparsity, store
from lpjax.choices import one_of
from lpjax.errors import UserError
from lpjax.interop import files
from lpjax.interop.destination import joining
from lpjax.interop.layout import to_ticket, torch_keys
from lpjax.interop.masks import split_masks, with_names
from lpjax.interop.recognize import Architecture, dataset_of, recognize, template
from lpjax.store import paths
from lpjax.types import PyTree, Ticket, Variables

MASKS = ("stored", "nonzero")


class Shared(NamedTuple):
    """What all levels share: the network, the data set whose normalization it includes, its prunable weights."""

    architecture: Architecture
    dataset: str | None
    prunable: frozenset[str]


def import_tickets(
    source: Path,
    destination: Path,
    *,
    model: str = "",
    mask: str = "stored",
    seed: int | None = None,
    level: int | None = None,
) -> Iterator[str]:
    """Write `destination/seed_{s}/level_{k}` for every level found, and `tickets.json`; yield a line per level.

    Validation accuracies are those stored in the files, on the hold-out of the original code. After an error, nothing
    is written.
    """
    one_of("--mask", mask, MASKS)
    form, sources = files.find(source, seed, level)
    with files.naming(sources[-1].weights):
        shared = _shared(files.read(sources[-1], files.load), model)
    network = template(shared.architecture)
    prunable = jax.tree.map(lambda name: name in shared.prunable, torch_keys(network))
    total = sparsity.total(network, prunable)
    record: dict[str, Any] = {**shared.architecture._asdict(), "dataset": shared.dataset, "total": total}
    record["seeds"] = {str(one.seed): {"form": form, "levels": [], "sources": {}} for one in sources}
    root = source if source.is_dir() else source.parent
    before: dict[int, Ticket] = {}
    with joining(destination, record) as folder:
        for one in sources:
            with files.naming(one.weights):
                contents = files.read(one, files.load)
                ticket = _convert(contents, shared, network, mask)
            kept = save_level(folder, one.seed, one.level, ticket, prunable, contents.known)
            notes = record["seeds"][str(one.seed)]
            notes["levels"].append(one.level)
            for path in filter(None, (one.weights, one.mask)):
                notes["sources"][path.relative_to(root).as_posix()] = files.digest(path)
            yield f"seed {one.seed} level {one.level:2d}: kept {kept:,} ({kept / total:.4f})"
            if contents.ignored:
                yield f"{one.weights}: ignored {', '.join(contents.ignored)}: not tensors of the network"
            yield from _doubts(one, before.get(one.seed), ticket)
            before[one.seed] = ticket
    yield f"{_described(shared)}: {destination}{hint_of_level_0(record)}"


def save_level(
    folder: Path,
    seed: int,
    level: int,
    ticket: Ticket,
    prunable: PyTree,
    known: Mapping[str, Any],
) -> int:
    """Write a ticket as the level of a run, with its summary.

    Args:
      folder: Where `seed_0/level_00` and so on go.
      seed: The replicate.
      level: Number of prunings done.
      ticket: In numpy arrays.
      prunable: A tree of bools: which leaves count.
      known: What its file says of it: `epoch` and `validation_accuracy` (a fraction), if they are known; of a file of
        lpjax all the rest too, which a later export writes again.

    Returns:
      Its kept weights.
    """
    directory = paths.level(folder, seed, level)
    kept = int(sparsity.kept(ticket.mask, prunable))
    total = sparsity.total(ticket.mask, prunable)
    store.save_ticket(paths.ticket(directory), ticket, prunable)
    summary = {
        "level": level,
        "kept": kept,
        "total": total,
        "density": kept / total,
        "epoch": known.get("epoch"),
        "validation_accuracy": known.get("validation_accuracy"),
    }
    if "lpjax" in known:
        summary["provenance"] = known
    store.write_json(paths.summary(directory), summary)
    return kept


def hint_of_level_0(record: Mapping[str, Any]) -> str:
    """Name a seed of `tickets.json` without level 0, which a run needs."""
    for seed, notes in record["seeds"].items():
        if 0 not in notes["levels"]:
            return f"; lpjax.main needs level 0 of seed {seed} too"
    return ""


def _described(shared: Shared) -> str:
    model, classes, width, _ = shared.architecture
    return f"{model}, {classes} classes, width {width}, {shared.dataset or 'no'} normalization built in"


def _doubts(source: files.Source, before: Ticket | None, after: Ticket) -> Iterator[str]:
    """Warn of weights that a level keeps and the level before has pruned."""
    if before is None:
        return
    masks = zip(jax.tree.leaves(before.mask), jax.tree.leaves(after.mask), strict=True)
    regrown = sum(int(np.sum(new & ~old)) for old, new in masks)
    if regrown:
        yield (
            f"warning: seed {source.seed}: level {source.level} keeps {regrown:,} weights that level "
            f"{source.level - 1} has pruned; check that these are levels of one iterative pruning, in order"
        )


def _shared(last: files.Contents, model: str) -> Shared:
    """Determine what all levels share from the sparsest, which has masks if any has; else convolutions are prunable."""
    weights, masks = split_masks(last.state)
    architecture = recognize(weights, model)
    names = jax.tree.leaves(torch_keys(template(architecture)))
    prunable = with_names(masks, names)
    if not prunable:
        prunable = {name: array for name, array in with_names(weights, names).items() if array.ndim == 4}
    return Shared(architecture, dataset_of(last.state), frozenset(prunable))


def _convert(contents: files.Contents, shared: Shared, network: Variables, mask: str) -> Ticket:
    """Convert one level to a ticket, in numpy arrays; a level that differs in what all share is refused."""
    weights, masks = split_masks(contents.state)
    names = jax.tree.leaves(torch_keys(network))
    weights = with_names(weights, names)
    masks = with_names(masks, names)
    if not masks:
        masks = {name: weights[name] != 0 for name in shared.prunable & weights.keys()}
        zeros = sum(int(np.sum(~found)) for found in masks.values())
        if zeros and mask == "stored":
            raise UserError(
                f"--mask: got no masks, but {zeros:,} weights are zero; give --mask=nonzero to treat them as pruned"
            )
    ticket = to_ticket(network, weights, masks)
    differing = sorted(masks.keys() ^ shared.prunable)
    if differing:
        raise UserError(f"{differing[0]!r} is not prunable in all levels; import one experiment")
    dataset = dataset_of(contents.state)
    if dataset != shared.dataset:
        raise UserError(f"dataset: got {dataset}, but the last level's is {shared.dataset}; import one experiment")
    return ticket
