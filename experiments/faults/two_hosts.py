"""Runs on two hosts, as two processes that talk over loopback, and compares with one process; then kills one of them.

`python -m experiments.faults.two_hosts` (or `make two-hosts`) tells whether two processes of two devices each come to
the results of one process of four, write every record once, hold the same numbers on every device, end by themselves
when one of them is killed, and go on bit for bit when both are started again. `--preset=resnet20` takes a real network
and minutes. `--stop` sends SIGTERM to both processes instead, in every stage of iterative pruning and sparse training.
"""

import argparse
import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pandas as pd

from experiments.faults.compare import differences, tickets
from experiments.faults.starts import CACHE, other_flags
from lpjax import run, sparsity, store, train
from lpjax.run.saved import load_ticket
from lpjax.run.setup import SeedKeys, masked_sgd
from lpjax.store import paths

ROOT = Path(__file__).parents[2]
DEVICES = 4
KEYS = ["seed", "level", "method", "split", "metric"]
_LIMIT = 1800  # seconds a start may take
PRESETS = {
    "small": {
        "train_images": 96,
        "validation": 64,
        "width": 4,
        "train.duration": "2ep",
        "train.milestones": ("1ep",),
        "train.batch_size": 32,
        "imp.levels": 2,
        "imp.rewind": "1it",
        "pool.coefficients": (0.5,),
        "pool.recalibrate": "64",
        "save_every": "2it",
    },
    "resnet20": {"model": "resnet20", "width": 16, "train.duration": "10ep", "imp.levels": 5, "save_every": "7it"},
}
_COMMON = {"pool.methods": ("recalibrated", "interpolation")}
STOPPED = {
    "digits_resnet8.py": {
        **PRESETS["small"],
        **_COMMON,
        "corruptions.measure": "all",
        "corruptions.images": 8,
    },
    "suptickets_digits_resnet8.py:rigl,0.9": {
        "train_images": 300,
        "validation": 100,
        "width": 4,
        "train.duration": "24ep",
        "superpose.averages": ("cia", "cima"),
        "save_every": "10it",
    },
}
"""What `--stop` runs: fields by config."""


class Check(NamedTuple):
    """One line of the table: what was looked at, what was found, and whether it is as it should be."""

    what: str
    found: str
    right: bool


def start(arguments: Sequence[str], log: Path, devices: int) -> subprocess.Popen[bytes]:
    """Start `python -m` with so many simulated devices; its output goes behind what is in the log."""
    log.parent.mkdir(parents=True, exist_ok=True)
    flags = f"{other_flags()} --xla_force_host_platform_device_count={devices}".strip()
    environment = {"JAX_PLATFORMS": "cpu", **CACHE, **os.environ, "XLA_FLAGS": flags}
    with log.open("ab") as file:
        command = [sys.executable, "-m", *arguments]
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=file)


def start_both(program: str, arguments: Sequence[str], log: Path) -> list[subprocess.Popen[bytes]]:
    """Start two processes of one run, each with a log of its own beside `log`; where they meet is added."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []
    for process in range(2):
        place = f"--config.distributed=127.0.0.1:{port},2,{process}"
        own_log = log.with_suffix(f".{process}.log")
        processes.append(start([program, *arguments, place], own_log, DEVICES // 2))
    return processes


def end(processes: Sequence[subprocess.Popen[bytes]], log: Path) -> None:
    """Wait until all have ended well; raise `RuntimeError` with the last of their output if one has not."""
    codes = [process.wait(_LIMIT) for process in processes]
    if any(codes):
        said = "".join(path.read_text()[-2000:] for path in sorted(log.parent.glob(f"{log.stem}*.log")))
        raise RuntimeError(f"{log.stem} ended with {codes}: {said}")


def compare(one: Path, two: Path, tolerance: float) -> list[Check]:
    """Compare the run of one process with that of two; floats are added in another order, so numbers may differ."""
    rows = pd.read_csv(paths.results(one)).set_index(KEYS)
    others = pd.read_csv(paths.results(two)).set_index(KEYS)
    both = rows.merge(others, left_index=True, right_index=True, suffixes=("", "_other"))
    apart = (both["value"] - both["value_other"]).abs().max()
    counts = int((both["kept"] != both["kept_other"]).sum())
    same_rows = rows.index.symmetric_difference(others.index).empty
    bits, total = _masks_apart(one, two)
    epochs = [len(store.read_jsonl(path)) for path in sorted(one.rglob("metrics.jsonl"))]
    lines = [len(store.read_jsonl(path)) for path in sorted(two.rglob("metrics.jsonl"))]
    return [
        Check("rows of results.csv", f"{len(others)} of {len(rows)}", same_rows),
        Check("farthest apart", f"{apart:.2g} (at most {tolerance:g})", apart <= tolerance),
        Check("counts of kept weights", f"{counts} differ", not counts),
        Check("bits of masks", f"{bits} of {total:,} differ", bits <= tolerance * total),
        Check("lines of metrics.jsonl", f"{sum(lines)} of {sum(epochs)}", lines == epochs),
        Check("tickets that one process restores", f"{tickets(two)} of {tickets(one)}", tickets(one) == tickets(two)),
    ]


def kill_one(arguments: Sequence[str], workdir: Path, log: Path) -> Check:
    """Kill the second of two processes while it trains, and wait for the first, which must end by itself."""
    survivor, victim = start_both("lpjax.main", arguments, log)
    trained = paths.metrics(paths.level(workdir, 0, 1))
    limit = time.monotonic() + _LIMIT
    while not trained.exists() and survivor.poll() is None:
        if time.monotonic() > limit:
            raise TimeoutError("training did not begin")
        time.sleep(0.02)
    victim.send_signal(signal.SIGKILL)
    killed = time.monotonic()
    victim.wait()
    code = survivor.wait(_LIMIT)
    seconds = time.monotonic() - killed
    stopped = code != 0 and not paths.results(workdir).exists()
    return Check("the other, after SIGKILL", f"ends with {code} within {seconds:.1f} s", stopped)


def stop_in_every_stage(arguments: Sequence[str], workdir: Path, log: Path) -> list[Check]:
    """Send SIGTERM to both processes as soon as a stage begins, stage after stage, until the run finishes."""
    checks = []
    stopped: list[str] = []
    while True:
        both = start_both("lpjax.main", arguments, log)
        stage = _wait_for_stage(paths.log(workdir, 0), stopped, both[0])
        stopped.append(stage)
        for process in both:
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(_LIMIT) for process in both]
        right = codes == [143, 143] or (not stage and codes == [0, 0])
        checks.append(Check(f"SIGTERM in {stage or 'no stage'}", f"exit codes {codes[0]}, {codes[1]}", right))
        if not stage or not right:
            return checks


def _wait_for_stage(log: Path, seen: Sequence[str], process: subprocess.Popen[bytes]) -> str:
    """Wait for a stage that has not begun before, and name it; return nothing once the process has ended."""
    while process.poll() is None:
        text = log.read_text() if log.exists() else ""
        for stage in re.findall(r"^\S+ \S+ \S+ \S+ (.+): \d+ of unit", text, re.MULTILINE):
            if stage not in seen:
                return stage
        time.sleep(0.01)
    return ""


def replicas(argv: Sequence[str]) -> None:
    """Finish the run of one of two processes, train a little more, and compare what all devices then hold."""
    from jax.experimental import multihost_utils

    from lpjax import main

    main.parse(["lpjax.main", *argv])
    config, workdir = main._CONFIG.value, Path(main._WORKDIR.value)
    run.join(config.distributed)
    setup = run.run(config, workdir)
    ticket = load_ticket(setup, paths.level(workdir, 0, 1))
    optimizer = masked_sgd(setup, ticket.mask.params)
    *_, last = train.fit(
        setup.training_step("imp", optimizer),
        train.replicate(train.initial_state(ticket.params, optimizer), setup.mesh),
        setup.data.feed,
        SeedKeys.of(0).train,
        images=setup.data.size,
        batch_size=setup.config.train.batch_size,
        stop=3,
    )
    leaves = jax.tree.leaves((last.state.variables, last.state.opt_state))
    held = []
    for device in range(jax.local_device_count()):
        bytes_held = b"".join(np.asarray(leaf.addressable_shards[device].data).tobytes() for leaf in leaves)
        held.append(np.frombuffer(hashlib.sha256(bytes_held).digest(), np.uint8))
    everywhere = multihost_utils.process_allgather(np.stack(held))
    different = len(np.unique(everywhere.reshape(-1, everywhere.shape[-1]), axis=0))
    if different > 1:
        raise RuntimeError(f"{different} versions of the training state on {jax.device_count()} devices")
    jax.distributed.shutdown()


def two_hosts(settings: Mapping[str, Any], tolerance: float, place: Path) -> list[Check]:
    """Run on one process, on two, and on two of which one is killed; compare what they leave in `place`.

    `settings` are fields of the config, as in `PRESETS`.
    """
    fields = _arguments("digits_resnet8.py", {**settings, **_COMMON})
    one, two, killed = (place / name for name in ("one", "two", "killed"))
    log = place / "logs"
    began = time.monotonic()
    end(start_both("lpjax.main", [*fields, f"--workdir={two}"], log / "two.log"), log / "two.log")
    print(f"two processes: {time.monotonic() - began:.0f} s", flush=True)
    began = time.monotonic()
    end([start(["lpjax.main", *fields, f"--workdir={one}"], log / "one.log", DEVICES)], log / "one.log")
    print(f"one process: {time.monotonic() - began:.0f} s", flush=True)
    checks = compare(one, two, tolerance)
    again = [*fields, f"--workdir={killed}"]
    checks.append(kill_one(again, killed, log / "killed.log"))
    end(start_both("experiments.faults.two_hosts", ["--replicas", *again], log / "again.log"), log / "again.log")
    checks.append(Check("the state of training on all devices", "the same bytes", True))
    apart = differences(two, killed)
    checks.append(Check("killed and started again", "; ".join(apart) or "the same bytes", not apart))
    return checks


def stopped_two_hosts(config: str, fields: Mapping[str, Any], place: Path) -> list[Check]:
    """Run a config on two processes, undisturbed and stopped in every stage; compare what they leave in `place`."""
    arguments = _arguments(config, fields)
    calm = place / "calm"
    stopped = place / "stopped"
    log = place / "logs"
    end(start_both("lpjax.main", [*arguments, f"--workdir={calm}"], log / "calm.log"), log / "calm.log")
    checks = stop_in_every_stage([*arguments, f"--workdir={stopped}"], stopped, log / "stopped.log")
    apart = differences(calm, stopped)
    checks.append(Check("stopped in every stage", "; ".join(apart) or "the same bytes", not apart))
    return checks


def _arguments(config: str, fields: Mapping[str, Any]) -> list[str]:
    """Write a config of configs/ and changed fields as arguments of the command."""
    return [f"--config={ROOT}/configs/{config}", *(f"--config.{name}={value}" for name, value in fields.items())]


def _masks_apart(one: Path, two: Path) -> tuple[int, int]:
    bits = total = 0
    for ticket in sorted(one.glob("seed_0/level_*/ticket")):
        masks = [store.restore_mask(at) for at in (ticket, two / ticket.relative_to(one))]
        bits += sum(int(np.sum(a != b)) for a, b in zip(*map(jax.tree.leaves, masks), strict=True))
        total += sparsity.total(masks[0], sparsity.all_leaves)
    return bits, total


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; return 1 if something is not as it should be."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if argv[:1] == ["--replicas"]:
        replicas(argv[1:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", choices=PRESETS, default="small", help="what to train")
    parser.add_argument("--tolerance", type=float, default=0.02, help="by how much measurements may differ")
    parser.add_argument("--stop", action="store_true", help="send SIGTERM to both processes in every stage instead")
    parser.add_argument("--runs", type=Path, help="an empty folder for work directories and logs (default: temporary)")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary:
        place = given.runs or Path(temporary)
        if given.stop:
            checks = []
            for number, (config, fields) in enumerate(STOPPED.items()):
                checks += stopped_two_hosts(config, fields, place / str(number))
        else:
            checks = two_hosts(PRESETS[given.preset], given.tolerance, place)
    for check in checks:
        print(f"{'ok ' if check.right else 'BAD'} {check.what}: {check.found}")
    return int(not all(check.right for check in checks))


if __name__ == "__main__":
    sys.exit(main())
