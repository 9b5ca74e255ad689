"""How many bytes a ticket takes in every format, and how many it has to.

Sizes of the tickets of a run, of one seed. `bound` is `sum N (H(d) + 32 d)` bits over prunable leaves of `N` weights of
density `d`, in float32, and 32 bits for every other number: no list of independent weights takes less. `dense` is every
number in float32, `zip` that compressed. A format whose package is missing is left out.

Command: python -m experiments.benchmarks.file_sizes --workdir=runs/demo
"""

import io
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pandas as pd

from experiments import markdown
from experiments.benchmarks.inputs import parser
from experiments.keeping import replace_between
from lpjax import run, sparsity
from lpjax.errors import UserError
from lpjax.interop.exporting import SavedTicket, read_saved
from lpjax.interop.mask_coding import encode_mask, entropy_bits
from lpjax.store import environment, paths

FOLDER = Path(__file__).parent
FILES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "packed": (".lpz", {}),
    "packed float16": (".lpz", {"dtype": "float16"}),
    "packed bfloat16": (".lpz", {"dtype": "bfloat16"}),
    "safetensors": (".safetensors", {}),
    "pth": (".pth", {}),
    "pth plain": (".pth", {"form": "plain"}),
    "onnx": (".onnx", {}),
    "stablehlo": (".stablehlo", {}),
}
"""What is exported, with the suffix and the options."""
SHOWN = (
    "dense",
    "zip",
    "bound",
    "packed",
    "packed bfloat16",
    "safetensors",
    "pth",
    "onnx",
    "stablehlo",
    "mask bits",
    "mask coded",
    "mask entropy",
)
"""The columns of the page; the CSV file has all."""


def main(argv: list[str]) -> None:
    """Print a row per level, write `file_sizes.csv`, and the table into a page."""
    arguments = parser(__doc__)
    arguments.add_argument("--workdir", type=Path, required=True, help="of a run with tickets")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--levels", nargs="+", type=int, default=[0, 3, 6, 9])
    arguments.add_argument("--name", default="", help="of the rows in the CSV file; by default the data set")
    arguments.add_argument("--keep", action="store_true", help="write the CSV file and the page beside this program")
    options = arguments.parse_args(argv)
    rows = []
    for level in options.levels:
        directory = paths.level(options.workdir, options.seed, level)
        rows.append({"run": options.name or options.workdir.name, "level": level, **sizes(directory)})
    table = pd.DataFrame(rows)
    if options.keep:
        kept = FOLDER / "file_sizes.csv"
        if kept.exists():
            before = pd.read_csv(kept)
            table = pd.concat([before[before["run"] != rows[0]["run"]], table])
        table.to_csv(kept, index=False, lineterminator="\n")
        replace_between(FOLDER / "file_sizes.md", "file_sizes", describe(table))
    print(describe(table))


def sizes(directory: Path) -> dict[str, float]:
    """Measure the ticket of a level: kept weights, density, and bytes by format."""
    saved = read_saved(directory)
    found: dict[str, float] = {
        "kept": int(sparsity.kept(saved.ticket.mask, saved.prunable)),
        "density": sparsity.density(saved.ticket.mask, saved.prunable),
        **dense_sizes(saved),
        **mask_sizes(saved),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, (suffix, choices) in FILES.items():
            path = Path(folder) / f"{name.replace(' ', '_')}{suffix}"
            try:
                run.export(directory, path, **choices)
            except UserError as error:
                print(f"{name}: {error}", file=sys.stderr)
                continue
            found[name] = path.stat().st_size
    return found


def dense_sizes(saved: SavedTicket) -> dict[str, int]:
    """Count the bytes of all numbers in float32, and of a zip of them."""
    leaves = [np.asarray(leaf, np.float32) for leaf in jax.tree.leaves(saved.ticket.params)]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        for number, leaf in enumerate(leaves):
            file.writestr(str(number), leaf.tobytes())
    return {"dense": sum(leaf.nbytes for leaf in leaves), "zip": len(archive.getvalue())}


def mask_sizes(saved: SavedTicket) -> dict[str, int]:
    """Count the bytes of the masks as bits, as they are coded, and by their entropy; and the bound of everything."""
    bits = 0
    coded = 0
    entropy = 0.0
    values = 0
    trees = (saved.ticket.mask, saved.prunable)
    for mask, counted in zip(*map(jax.tree.leaves, trees), strict=True):
        values += 4 * int(np.count_nonzero(mask))
        if counted:
            bits += -(-np.size(mask) // 8)
            coded += len(encode_mask(mask)[1])
            entropy += entropy_bits(mask) / 8
    return {"mask bits": bits, "mask coded": coded, "mask entropy": round(entropy), "bound": round(entropy) + values}


def describe(table: pd.DataFrame) -> str:
    """Write the table in Markdown, and where it was measured."""
    columns = [name for name in SHOWN if name in table.columns]
    lines = []
    for row in table.to_dict("records"):
        cells = [row["run"], str(row["level"]), f"{row['density']:.3f}"]
        cells += [f"{row[name]:,.0f}" for name in columns]
        lines.append(cells)
    versions = {"python": environment()["python"]}
    for name in ("jax", "safetensors", "torch", "jax2onnx"):
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    where = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"{markdown.table(['run', 'level', 'density', *columns], lines)}\n\nMeasured with {where}."


if __name__ == "__main__":
    main(sys.argv[1:])
