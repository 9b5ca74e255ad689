"""The card of an exported file: what it is, how it was found, how good it is, how it is read. Plain Markdown."""

import json
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from lpjax import sparsity
from lpjax.interop.exporting import SavedTicket
from lpjax.interop.files import digest
from lpjax.interop.origin import Accuracy, Origin, explain, provenance, shares
from lpjax.interop.stablehlo import MONTHS
from lpjax.version import __version__

_READING_CODE = {
    "packed": """from lpjax.interop import read_packed

ticket = read_packed({name})  # ticket.params, ticket.mask: numpy arrays""",
    "safetensors": """from safetensors.numpy import load_file  # in PyTorch: from safetensors.torch

state = load_file({name})
# {state}""",
    "pth": """import torch

state = torch.load({name}, weights_only=True)
# {state}""",
    "onnx": """import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession({name}, providers=["CPUExecutionProvider"])
images = np.zeros((1, *{shape}), np.uint8)  # as they are stored: normalization is part of the file
logits = session.run(["logits"], {{"images": images}})[0]""",
    "stablehlo": """from pathlib import Path

import jax
import numpy as np

program = jax.export.deserialize(bytearray(Path({name}).read_bytes()))
images = np.zeros((1, *{shape}), np.uint8)  # as they are stored: normalization is part of the file
logits = program.call(images)""",
}
_STATE = {
    "plain": "by PyTorch's names, zero where weights are pruned: network.load_state_dict(state)",
    "pruned": "X_orig and X_mask, as torch.nn.utils.prune names them, instead of every pruned X",
}
"""What a state dict contains, by its form."""
_READABLE = ("packed", "safetensors", "pth")


def card_path(path: Path) -> Path:
    """Name the card of a file.

    Example:
      >>> card_path(Path('exports/ticket.lpz')).as_posix()
      'exports/ticket.lpz.md'
    """
    return path.with_name(f"{path.name}.md")


def card(
    saved: SavedTicket,
    origin: Origin,
    path: Path,
    *,
    format: str,  # noqa: A002 (the word of the command)
    dtype: str,
    form: str = "",
    image: tuple[int, int, int] | None = None,
    remarks: Sequence[str] = (),
) -> str:
    """Write the text of a card.

    Args:
      saved: The ticket.
      origin: Where it comes from.
      path: The exported file, which is read for its size and digest.
      format: One of `packed`, `safetensors`, `pth`, `onnx`, `stablehlo`.
      dtype: What kept values were rounded to.
      form: Of a state dict, `'pruned'` or `'plain'`.
      image: `(H, W, C)`, for files that compute.
      remarks: Further lines on the file.

    Returns:
      Markdown.
    """
    sections = [
        _title(origin),
        _file(path, format, dtype, remarks),
        _reading(path, format, form, image),
        "## Method\n\n" + explain(origin),
        _lineage(origin),
        _densities(saved),
        _results(origin),
        _circumstances(origin),
        _license(origin),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def _license(origin: Origin) -> str:
    data = f" ({origin.dataset})" if origin.dataset else ""
    return (
        "## License\n\nlpjax, the code that made this file, is licensed under Apache-2.0. The weights are derived from "
        f"the training data{data}; check the license of the data too."
    )


def _title(origin: Origin) -> str:
    known = provenance(origin)
    model = known.get("model", "a network")
    title = f"# {origin.method}: {model}"
    if origin.dataset:
        title += f" on {origin.dataset}"
    if origin.place:
        title += f", seed {origin.place.seed}, level {origin.place.level}"
    return title


def _file(path: Path, format: str, dtype: str, remarks: Sequence[str]) -> str:  # noqa: A002
    lines = [
        "| | |",
        "|---|---|",
        f"| file | `{path.name}`, {path.stat().st_size:,} bytes |",
        f"| format | {format}{_rounding(dtype)} |",
        f"| sha256 | `{digest(path)}` |",
        f"| written by | lpjax {__version__}, jax {jax.__version__} |",
    ]
    text = "\n".join(lines)
    for remark in remarks:
        text += f"\n\n{remark}"
    if format == "stablehlo":
        text += (
            f"\n\nThis is a serialized program of `jax.export`. JAX guarantees that versions up to {MONTHS} months "
            "newer than the one above read it; after that it may have to be exported again from the ticket."
        )
    return text


def _rounding(dtype: str) -> str:
    return "" if dtype == "float32" else f", kept values rounded to {dtype}"


def _reading(path: Path, format: str, form: str, image: tuple[int, int, int] | None) -> str:  # noqa: A002
    code = _READING_CODE[format].format(name=json.dumps(path.name), state=_STATE.get(form), shape=image)
    text = f"## Reading it\n\n```python\n{code}\n```"
    if format in _READABLE:
        options = " --mask=nonzero" if (format, form) == ("pth", "plain") else ""
        text += (
            f"\n\n`lpjax import {path.name} FOLDER{options}` turns it into a level, which a run takes as "
            "`--config.imp.tickets_from=FOLDER`."
        )
    return text


def _lineage(origin: Origin) -> str:
    if not origin.steps or origin.anchor is None:
        return ""
    seed, level = origin.anchor
    lines = ["## Lineage", "", "| step | seed | level | coefficient |", "|---|---|---|---|"]
    lines.append(f"| anchor | {seed} | {level} | |")
    for number, step in enumerate(origin.steps, 1):
        lines.append(f"| {number} | {step.seed} | {step.level} | {step.coefficient:g} |")
    parts = []
    for (seed, level), share in sorted(shares(origin.anchor, origin.steps).items()):
        parts.append(f"level {level} of seed {seed}: {share:.4f}")
    lines += ["", f"Share of each ticket in the mix, without the pruning between steps: {'; '.join(parts)}."]
    return "\n".join(lines)


def _densities(saved: SavedTicket) -> str:
    flags = jax.tree.leaves(saved.prunable)
    lines = ["## Density", "", "| leaf | shape | kept | density |", "|---|---|---|---|"]
    kept = 0
    total = 0
    for (name, mask), counted in zip(sparsity.named_leaves(saved.ticket.mask).items(), flags, strict=True):
        if counted:
            count = int(np.count_nonzero(mask))
            kept += count
            total += np.size(mask)
            shape = "x".join(map(str, np.shape(mask)))
            lines.append(f"| {name} | {shape} | {count:,} | {count / np.size(mask):.4f} |")
    lines.append(f"| all prunable | | {kept:,} of {total:,} | {kept / max(total, 1):.4f} |")
    return "\n".join(lines)


def _results(origin: Origin) -> str:
    if not origin.accuracies:
        return "## Results\n\nNot measured."
    lines = ["## Results", "", "| accuracy on | this network | seeds | mean | 95 % interval |", "|---|---|---|---|---|"]
    for accuracy in origin.accuracies:
        own = "" if accuracy.value is None else f"{accuracy.value:.4f}"
        lines.append(f"| {accuracy.split} | {own} | {accuracy.n} | {accuracy.mean:.4f} | {_interval(accuracy)} |")
    lines += ["", "The interval is Student's, of the mean over seeds.", ""]
    lines.append("Where validation accuracy chose the network, as in pools that select, it is too high on average.")
    return "\n".join(lines)


def _interval(accuracy: Accuracy) -> str:
    if accuracy.n == 1:
        return "one seed"
    return f"{accuracy.low:.4f} to {accuracy.high:.4f}"


def _circumstances(origin: Origin) -> str:
    lines = ["## How it was made"]
    if origin.command:
        lines += ["", f"```\n{origin.command}\n```"]
    versions = []
    for name, value in origin.environment.items():
        shown = ", ".join(f"{count} x {kind}" for kind, count in value.items()) if isinstance(value, dict) else value
        if shown is not None:
            versions.append(f"| {name} | {shown} |")
    if versions:
        lines += ["", "| | |", "|---|---|", *versions]
    return "\n".join(lines) if len(lines) > 1 else ""
