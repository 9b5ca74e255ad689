"""Measure lpjax on one GPU, in 25 minutes or in pieces of at most 8, and print tables.

What is measured already stays; the same command measures what is missing, and goes on with unfinished runs.

Command: python -m experiments.gpu
"""

import argparse
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.gpu import pool, runs, sparse, steps, tables
from experiments.gpu.sizes import FULL, SMALLEST
from experiments.keeping import replace_between
from lpjax.command import USER_MISTAKE, OneLineParser, remember_compilations
from lpjax.errors import UserError
from lpjax.run import handle_preemption

SHARES = {"steps": 3, "torch": 1, "pool": 2, "transforms": 1, "tickets": 2, "suptickets": 1}
"""The pieces in their order, and how they share the minutes."""
TOTAL, MOST = 25.0, 8.0
RESERVE = 30.0
"""Seconds of a piece in which a run saves, or a measurement imports what it needs."""
STOPPED = (runs.STOPPED, -15)  # -15: before the process handled the signal


def main(argv: list[str]) -> None:
    """Measure every piece in a process of its own, since one alone can hold the memory of a GPU; print tables."""
    options = parse(argv)
    out = options.out or Path("runs") / ("gpu_smallest" if options.smallest else "gpu")
    limits = minutes(options.pieces, options.budget)
    if not (options.smallest or options.in_process):
        refuse_cpu()
    out.mkdir(parents=True, exist_ok=True)
    if options.in_process:
        for piece in options.pieces:
            measure(piece, options, out, 60 * limits[piece] - RESERVE)
        return
    failures = []
    for piece, limit in limits.items():
        print(f"{piece}: at most {limit:.1f} minutes", flush=True)
        if piece in runs.RUNS:
            code = runs.finish(runs.command(piece, options, out), 60 * limit - RESERVE, RESERVE)
        else:
            changes = ["--in_process", f"--budget={limit}", "--pieces", piece]
            code = runs.finish([sys.executable, "-m", "experiments.gpu", *argv, *changes], 60 * limit, 5.0)
        if code in STOPPED:
            print(f"{piece}: its time is over; the same command goes on", flush=True)
        elif code:
            print(f"{piece}: failed with exit code {code}", flush=True)
            failures.append(code)
    text = tables.describe(out)
    print(f"\n{text}", flush=True)
    if options.keep:
        keep(out, text, Path(__file__).parent)
    if failures:
        sys.exit(max(failures[0], 1))


def parse(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = OneLineParser("python -m experiments.gpu", (__doc__ or "").partition("\n")[0])
    pieces = tuple(SHARES)
    parser.add_argument("--pieces", nargs="+", choices=pieces, default=pieces, help="what is measured (default: all)")
    parser.add_argument("--budget", type=float, help="minutes per piece (default: a share of 25, at most 8)")
    parser.add_argument("--smallest", action="store_true", help="try every piece, also without a GPU")
    parser.add_argument("--out", type=Path, help="where rows and runs go (default: runs/gpu)")
    parser.add_argument("--data_dir", default="", help="the TFDS directories with cifar10 (default: that of TFDS)")
    parser.add_argument("--epochs", type=int, default=20, help="of a level of tickets (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="of tickets and suptickets (default: 0)")
    parser.add_argument("--torch_compile", action="store_true", help="compile the network of PyTorch")
    parser.add_argument("--keep", action="store_true", help="copy results to experiments/gpu and its README")
    parser.add_argument("--in_process", action="store_true", help="measure in this process, e.g. for a profiler")
    options = parser.parse_args(argv)
    if options.budget is not None and 60 * options.budget <= RESERVE:
        raise UserError(f"--budget: got {options.budget}, expected more than {RESERVE / 60} minutes")
    if options.keep and options.smallest:
        raise UserError("--keep: got --smallest too; keep what is measured at the full size")
    if options.in_process and set(options.pieces) & set(runs.RUNS):
        raise UserError(f"--in_process: got a run, expected other --pieces than {' and '.join(runs.RUNS)}")
    return options


def minutes(pieces: Sequence[str], budget: float | None = None) -> dict[str, float]:
    """Share the minutes among pieces.

    Example:
      >>> minutes(["steps"]), minutes(["steps", "pool"], 2.0)
      ({'steps': 8.0}, {'steps': 2.0, 'pool': 2.0})
    """
    total = sum(SHARES[piece] for piece in pieces)
    return {piece: budget or min(MOST, TOTAL * SHARES[piece] / total) for piece in pieces}


def measure(piece: str, options: argparse.Namespace, out: Path, limit: float) -> None:
    """Measure one piece in this process, within a number of seconds."""
    remember_compilations()
    size = SMALLEST if options.smallest else FULL
    if piece != "torch":
        {"steps": steps, "pool": pool, "transforms": sparse}[piece].run(size, out, limit)
    elif importlib.util.find_spec("torch"):
        from experiments.gpu import torch_steps

        torch_steps.run(size, out, limit, options.torch_compile)


def refuse_cpu() -> None:
    """Ask another process for the device, so that this one never holds its memory."""
    question = [sys.executable, "-c", "import jax; print(jax.default_backend())"]
    backend = subprocess.run(question, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    if backend == "cpu":
        raise UserError("device: got a CPU, expected a GPU; --smallest tries every piece without one")


def keep(out: Path, text: str, folder: Path) -> None:
    """Copy rows and results of runs into a folder, and the tables into its README."""
    for source in sorted(out.glob("*.csv")):
        shutil.copy(source, folder / source.name)
    for source in sorted(out.glob("*/results.csv")):
        shutil.copy(source, folder / f"{source.parent.name}.csv")
    replace_between(folder / "README.md", "measured", text)


if __name__ == "__main__":
    try:
        with handle_preemption():
            main(sys.argv[1:])
    except UserError as error:
        print(f"lpjax: {error}", file=sys.stderr)
        sys.exit(USER_MISTAKE)
