"""Runs of the command that end by a time limit: they save where they are, and the same command goes on."""

import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from experiments.faults.kill import RUNS as SMALLEST
from experiments.options import ROOT

RUNS = {"tickets": "iterative pruning", "suptickets": "sparse training"}
"""The pieces that are runs, and their names at the smallest size."""
STOPPED = 143
"""The exit code after SIGTERM."""


def command(piece: str, options: Namespace, out: Path) -> list[str]:
    """Return the command of the shortened `cifar10_resnet18`, or of Sup-tickets with RigL at a sparsity of 0.95."""
    start = [sys.executable, "-m", "lpjax.main", f"--workdir={out}/{piece}_seed{options.seed}"]
    if options.smallest:
        return [*start, *SMALLEST[RUNS[piece]]]
    name = "cifar10_resnet18.py" if piece == "tickets" else "suptickets_cifar10_vgg16_short.py:rigl,0.95"
    start += [
        f"--config={ROOT}/configs/{name}",
        f"--config.seeds=({options.seed},)",
        f"--config.data_dir={options.data_dir}",
        "--config.train.steps_per_dispatch=27",  # 351 = 13 x 27 full batches are in 45,000 images
    ]
    if piece == "suptickets":
        return start
    epochs = options.epochs
    return [
        *start,
        "--config.imp.levels=12",
        f"--config.imp.rewind={max(epochs // 20, 1)}ep",
        f"--config.train.duration={epochs}ep",
        f"--config.train.milestones=('{epochs // 2}ep','{3 * epochs // 4}ep')",
        "--config.pool.methods=('recalibrated','interpolation','best_single')",
    ]


def finish(command: Sequence[str], limit: float, grace: float) -> int:
    """Run a command on one device; SIGTERM ends it after a number of seconds, or when this process is stopped.

    Args:
      command: The program and its arguments.
      limit: Seconds until SIGTERM.
      grace: Seconds from then until SIGKILL.

    Returns:
      Its exit code; `STOPPED` after SIGKILL.
    """
    first_device = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    process = subprocess.Popen(command, env={**os.environ, "CUDA_VISIBLE_DEVICES": first_device})
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        process.terminate()
        try:
            return process.wait(grace)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return STOPPED
    except BaseException:  # this process was stopped
        process.terminate()
        process.wait()
        raise
