"""What a sparse network costs where it is used: bytes by format, and time as masked JAX, shrunk JAX and ONNX Runtime.

Networks of one run and seed: the dense one, tickets, and the pools around them. `shrunk` is what `lpjax.shrink`
leaves. Times are medians of calls in turn, per batch of test images.

Command: python -m experiments.benchmarks.deployment --workdir=runs/demo --levels 0 9
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments import markdown
from experiments.benchmarks.inputs import accuracy, machine, parser
from experiments.benchmarks.timing import medians
from experiments.keeping import replace_between
from lpjax import run, sparsity
from lpjax.report import style
from lpjax.run.evaluate import sizes
from lpjax.run.load import LoadedNetwork, predictor, smaller_network
from lpjax.run.setup import network_flops
from lpjax.store import environment, paths

FOLDER = Path(__file__).parent
EXPORTS: dict[str, tuple[str, dict[str, Any]]] = {
    "lpz": (".lpz", {}),
    "safetensors": (".safetensors", {}),
    "onnx": (".onnx", {}),
    "onnx_shrunk": (".onnx", {"shrink": True}),
}
HEADS = (
    "network", "density", "test accuracy", "parameters left", "FLOPs left",
    "dense bytes", ".lpz", ".safetensors", ".onnx",
    "masked JAX (ms)", "shrunk JAX (ms)", "ONNX Runtime (ms)", "ONNX Runtime, shrunk (ms)",
)  # fmt: skip


def main(argv: list[str]) -> None:
    """Print a row per network; with `--keep`, write `deployment.csv` and the table into a page."""
    arguments = parser(__doc__)
    arguments.add_argument("--workdir", type=Path, required=True, help="of a finished run with interpolation pools")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--levels", nargs="+", type=int, default=[0, 9])
    arguments.add_argument("--images", type=int, default=64, help="per batch")
    arguments.add_argument("--rounds", type=int, default=100, help="calls of each")
    arguments.add_argument("--keep", action="store_true", help="write the CSV file and the page beside this program")
    options = arguments.parse_args(argv)
    networks = []
    for level in options.levels:
        networks.append((level, ""))
        if level:
            networks.append((level, "interpolation"))
    rows = []
    calls: dict[str, Callable[[], Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for level, pool in networks:
            name = f"{pool or 'ticket'} {level}"
            network = run.load(options.workdir, options.seed, level, pool)
            row, ways = measure(options.workdir, options.seed, level, pool, network, options.images, Path(folder))
            rows.append({"name": name, **row})
            calls |= {f"{name}, {way}": call for way, call in ways.items()}
        seconds = medians(calls, options.rounds)
    for row in rows:
        row |= {way: seconds[f"{row['name']}, {way}"] for way in ("masked", "shrunk", "onnx", "onnx_shrunk")}
    table = pd.DataFrame(rows)
    if options.keep:
        table.to_csv(FOLDER / "deployment.csv", index=False, lineterminator="\n")
        replace_between(FOLDER / "deployment.md", "deployment", describe(table, options))
    print(describe(table, options))


def measure(
    workdir: Path, seed: int, level: int, pool: str, network: LoadedNetwork, images: int, folder: Path
) -> tuple[dict[str, Any], dict[str, Callable[[], Any]]]:
    """Measure what does not take time, and return it with the ways to compute logits, to be timed."""
    import onnxruntime

    setup = network.setup
    directory = paths.pool(workdir, seed, pool, level) if pool else paths.level(workdir, seed, level)
    flops = network_flops(setup.network.apply, setup.network.like, setup.data.shape)
    row: dict[str, Any] = {
        "method": pool or "ticket",
        "density": sparsity.density(network.ticket.mask, setup.network.prunable),
        **sizes(network.ticket, setup.network.graph, flops),
    }
    batch = setup.data.test.images[:images]
    row["accuracy"] = accuracy(network.predict, setup.data.test)

    small, apply = smaller_network(network.ticket, setup)
    shrunk = predictor(setup, apply, small)
    ways: dict[str, Callable[[], Any]] = {
        "masked": lambda: network.predict(batch),
        "shrunk": lambda: shrunk(batch),
    }
    for name, (suffix, choices) in EXPORTS.items():
        path = folder / f"{pool}{level}_{name}{suffix}"
        run.export(directory, path, **choices)
        row[f"{name}_bytes"] = path.stat().st_size
        if suffix == ".onnx":
            settings = onnxruntime.SessionOptions()  # threads that wait in a loop would slow the others down
            settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
            session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
            given = {"images": np.asarray(batch)}
            ways[name] = lambda session=session, given=given: session.run(["logits"], given)[0]
    return row, ways


def describe(table: pd.DataFrame, options: Any) -> str:
    """Write the table in Markdown, and where it was measured."""
    lines = []
    for row in table.to_dict("records"):
        name = "dense network" if row["density"] == 1 else style.look(row["method"]).name
        cells = [name, f"{row['density']:.3f}", f"{row['accuracy']:.4f}"]
        cells += [f"{row[f'shrunk_{what}'] / row[what]:.3f}" for what in ("parameters", "flops")]
        cells += [f"{row[what]:,}" for what in ("bytes", "lpz_bytes", "safetensors_bytes", "onnx_bytes")]
        cells += [f"{1000 * row[way]:.2f}" for way in ("masked", "shrunk", "onnx", "onnx_shrunk")]
        lines.append(cells)
    import onnxruntime

    where = (
        f"Batches of {options.images} images, medians of {options.rounds} calls, {machine()}, "
        f"ONNX Runtime {onnxruntime.__version__}, Python {environment()['python']}."
    )
    return f"{markdown.table(HEADS, lines)}\n\n{where}"


if __name__ == "__main__":
    main(sys.argv[1:])
