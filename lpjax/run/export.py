"""Export a ticket of a work directory to a file, with its card; and import such files as levels that a run takes."""

import itertools
from pathlib import Path
from typing import NamedTuple

import jax

from lpjax import data, store
from lpjax.cache import expand_home
from lpjax.choices import one_of
from lpjax.errors import UserError
from lpjax.interop import files, safetensors
from lpjax.interop.card import card, card_path
from lpjax.interop.exporting import (
    TORCH_SUFFIXES,
    SavedTicket,
    check_destination,
    read_saved,
    write_packed,
    write_state_dict,
)
from lpjax.interop.importing import import_tickets
from lpjax.interop.layout import FORMS
from lpjax.interop.onnx import to_onnx
from lpjax.interop.origin import Origin, origin_of, provenance
from lpjax.interop.packed import DTYPES, SUFFIX
from lpjax.interop.stablehlo import to_stablehlo
from lpjax.interop.unpacking import import_packed, packed_files
from lpjax.run.load import load, predictor, smaller_network
from lpjax.store import paths

SUFFIXES = {
    "packed": (SUFFIX,),
    "safetensors": (safetensors.SUFFIX,),
    "pth": TORCH_SUFFIXES,
    "onnx": (".onnx",),
    "stablehlo": (".stablehlo",),
}
"""The formats, with the suffixes of their files."""
KNOWN_SUFFIXES = tuple(itertools.chain(*SUFFIXES.values()))
"""Of every file that can be exported."""
_COMPUTE = ("onnx", "stablehlo")
_READABLE = (SUFFIX, *files.SUFFIXES)
_STATE_DICTS = ("pth", "safetensors")
_ROUNDED = ("packed", "safetensors")


class _Written(NamedTuple):
    line: str
    remarks: tuple[str, ...] = ()
    form: str = ""
    image: tuple[int, int, int] | None = None


def export(
    source: Path,
    destination: Path,
    *,
    dtype: str = "float32",
    form: str = "",
    dataset: str = "",
    shrink: bool = False,
) -> list[str]:
    """Write the ticket of a level or pool to a file, and its card `FILE.md` beside it.

    Args:
      source: The directory of a level or pool, or the `ticket/` in it.
      destination: A new file, whose suffix says the format; see `SUFFIXES`.
      dtype: What kept values are rounded to: `'float32'`; for packed and safetensors files also `'float16'` and
        `'bfloat16'`.
      form: For state dicts (`pth`, `safetensors`): `'pruned'` or `'plain'`; empty for the default of the format.
      dataset: For state dicts: the data set whose normalization constants are included, or `'none'`.
      shrink: Whether to remove channels without weights first, for `onnx` and `stablehlo`; see `lpjax.shrink`.

    Returns:
      Lines that say what was written.

    Raises:
      UserError: If an argument or file is wrong, in one line; nothing was written then.
      StorageError: If the disk refuses.
    """
    source = expand_home(source)
    destination = expand_home(destination)
    chosen = format_of(destination)
    _check_options(chosen, dtype, form, dataset, shrink=shrink)
    check_destination(destination)
    if card_path(destination).exists():
        raise UserError(
            f"{card_path(destination)} exists, where the card of {destination.name} goes; give another file"
        )
    saved = read_saved(source)
    origin = origin_of(saved.directory)
    if chosen in _COMPUTE:
        written = _write_program(saved, origin, destination, chosen, shrink=shrink)
    else:
        written = _write_ticket(saved, origin, destination, chosen, dtype, form, dataset)
    text = card(
        saved,
        origin,
        destination,
        format=chosen,
        dtype=dtype,
        form=written.form,
        image=written.image,
        remarks=written.remarks,
    )
    store.write_text(card_path(destination), text)
    return [written.line, f"card: {card_path(destination)}"]


def import_file(
    source: Path,
    destination: Path,
    *,
    model: str = "",
    mask: str = "stored",
    seed: int | None = None,
    level: int | None = None,
) -> list[str]:
    """Write `destination/seed_{s}/level_{k}` for every ticket found in files; `--config.imp.tickets_from` takes it.

    Args:
      source: A packed file or a folder of them; a file or folder of state dicts, in safetensors or PyTorch files; or
        the tickets of the Lottery Pools code or of OpenLTH. docs/import_tickets.md lists what is recognized.
      destination: A new folder, or one with other seeds of the same network.
      model: Name of the architecture, for state dicts; empty to recognize it.
      mask: `'nonzero'` treats zeros as pruned in state dicts without masks.
      seed: Of the replicate; by default that which the file says, else 0.
      level: Of a single file, or of the first of a folder of state dicts; by default that which the file says, else 0.

    Returns:
      Lines that say what was written.

    Raises:
      UserError: If an argument or file is wrong, in one line; nothing was written then.
      StorageError: If the disk refuses.
    """
    source = expand_home(source)
    destination = expand_home(destination)
    for chosen in _COMPUTE:
        if source.suffix in SUFFIXES[chosen]:
            raise UserError(
                f"{source} is a program, which contains no mask and cannot be imported; give a .lpz, .safetensors or "
                ".pth file"
            )
    if source.is_file() and not source.name.endswith(_READABLE):
        raise UserError(
            f"{source}: got the suffix {source.suffix!r}, expected {', '.join(_READABLE)}; give such a file"
        )
    if not packed_files(source):
        return list(import_tickets(source, destination, model=model, mask=mask, seed=seed, level=level))
    for option, given in (("model", model), ("mask", mask if mask != "stored" else "")):
        if given:
            raise UserError(f"--{option}: got {given!r}, but packed files say it themselves; omit it")
    return list(import_packed(source, destination, seed=seed, level=level))


def format_of(destination: Path) -> str:
    """Find the format of a file by its suffix.

    Args:
      destination: The file.

    Returns:
      A name of `SUFFIXES`.

    Raises:
      UserError: If the suffix is unknown.

    Example:
      >>> format_of(Path('ticket.lpz')), format_of(Path('ticket.pt'))
      ('packed', 'pth')
    """
    for name, suffixes in SUFFIXES.items():
        if destination.suffix in suffixes:
            return name
    known = ", ".join(KNOWN_SUFFIXES)
    raise UserError(
        f"{destination}: got the suffix {destination.suffix!r}, expected one of {known}; change the file name"
    )


def _check_options(chosen: str, dtype: str, form: str, dataset: str, *, shrink: bool) -> None:
    one_of("--dtype", dtype, DTYPES)
    if dtype != "float32" and chosen not in _ROUNDED:
        raise UserError(
            f"--dtype: got {dtype}, expected float32 for {chosen}; only {' and '.join(_ROUNDED)} are rounded"
        )
    if shrink and chosen not in _COMPUTE:
        raise UserError(
            f"--shrink is for {' and '.join(_COMPUTE)} only, since {chosen} files have the full shapes; omit it"
        )
    if form:
        one_of("--form", form, FORMS)
    if dataset:
        one_of("--dataset", dataset, (*data.PUBLISHED, "none"))
    for name, given in (("form", form), ("dataset", dataset)):
        if given and chosen not in _STATE_DICTS:
            raise UserError(f"--{name} is for {' and '.join(_STATE_DICTS)} only; omit it")


def _write_ticket(
    saved: SavedTicket, origin: Origin, destination: Path, chosen: str, dtype: str, form: str, dataset: str
) -> _Written:
    known = provenance(origin)
    if chosen == "packed":
        return _Written(write_packed(saved, destination, dtype=dtype, provenance=known))
    written = write_state_dict(saved, destination, form=form, dataset=dataset, dtype=dtype, provenance=known)
    return _Written(written.line, (written.about,), form=written.form)


def _write_program(saved: SavedTicket, origin: Origin, destination: Path, chosen: str, *, shrink: bool) -> _Written:
    """Write what computes logits of images, which needs the network of the run."""
    place = origin.place
    if place is None or not paths.config(place.workdir).exists():
        raise UserError(
            f"{saved.directory} is not inside the work directory of a run, so the normalization of images is "
            "not known; use its tickets in a run (imp.tickets_from), or export to .lpz"
        )
    dtype = "float32" if chosen == "onnx" else ""  # few runtimes of ONNX compute in bfloat16
    network = load(place.workdir, place.seed, place.level, place.pool, dtype=dtype)
    ticket = network.ticket
    apply = network.setup.network.apply
    counts = saved.counts
    remarks = []
    if shrink:
        ticket, apply = smaller_network(network.ticket, network.setup)
        left = sum(leaf.size for leaf in jax.tree.leaves(ticket.params.params))
        full = sum(leaf.size for leaf in jax.tree.leaves(network.ticket.params.params))
        counts = f"{counts}, shrunk to {left:,} of {full:,} parameters"
        remarks.append(f"Channels without weights were removed: {left:,} of {full:,} parameters are left.")
    predict = predictor(network.setup, apply, ticket)
    image = network.setup.data.shape
    takes = f"uint8 images [B, {', '.join(map(str, image))}], normalization included"
    if chosen == "stablehlo":
        store.write_bytes(destination, to_stablehlo(predict, image))
        remarks.append(f"It takes {takes}.")
        return _Written(f"stablehlo: {counts}, {takes}: {destination}", tuple(remarks), image=image)
    converted = to_onnx(predict, image, properties={"lpjax": provenance(origin)}, reference=network.predict)
    store.write_bytes(destination, converted.content)
    checked = (
        f"logits differ by at most {converted.difference:.3g} from JAX on random images, the largest is "
        f"{converted.scale:.3g}"
    )
    remarks.append(f"It takes {takes}, and computes in float32. By ONNX Runtime, {checked}.")
    return _Written(f"onnx: {counts}, {takes}; {checked}: {destination}", tuple(remarks), image=image)
