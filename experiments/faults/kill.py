"""Kills runs at random moments, many times, until they finish by themselves, and compares what they leave.

`python -m experiments.faults.kill` (or `make faults`) tells for iterative pruning and for sparse training: how often
runs were killed (and stopped by SIGTERM), how often while something was being written, and whether every ticket, pool
and record is what an undisturbed run leaves.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from experiments.faults.compare import differences
from experiments.faults.starts import finish, start

ROOT = Path(__file__).parents[2]
_SMALL = ("--config.train_images=300", "--config.validation=100", "--config.width=4", "--config.save_every=10it")
RUNS = {
    "iterative pruning": (
        f"--config={ROOT}/configs/digits_resnet8.py",
        *_SMALL,
        "--config.train.duration=10ep",
        "--config.train.milestones=('5ep',)",
        "--config.imp.levels=4",
        "--config.imp.rewind=9it",
        "--config.pool.methods=('recalibrated','interpolation')",
        "--config.pool.coefficients=(0.25,0.75)",
    ),
    "sparse training": (
        f"--config={ROOT}/configs/suptickets_digits_resnet8.py:rigl,0.9",
        *_SMALL,
        "--config.train.duration=24ep",
        "--config.superpose.averages=('cia','cima')",
    ),
}


class Outcome(NamedTuple):
    """What became of runs that were killed again and again."""

    starts: int = 0  # how often the command was given
    killed: int = 0  # by SIGKILL
    stopped: int = 0  # by SIGTERM
    writing: int = 0  # kills that left an unfinished file or folder
    runs: int = 0  # that finished by themselves
    different: tuple[str, ...] = ()  # from the undisturbed run; nothing should be


def undisturbed(arguments: Sequence[str], scratch: Path) -> Path:
    """Run a command to its end, and return its work directory."""
    workdir = scratch / "undisturbed"
    log = scratch / "undisturbed.log"
    _expect(finish([*arguments, f"--workdir={workdir}"], log), (0,), log)
    return workdir


def kill_until_done(arguments: Sequence[str], calm: Path, scratch: Path, *, kills: int, seed: int) -> Outcome:
    """Kill a command time after time until it finishes, afresh until kills are enough.

    Every run that finishes is compared with the undisturbed one in `calm`. `scratch` is a directory for work
    directories and logs; the seed decides when and how to kill.
    """
    draw = random.Random(seed)
    total = Outcome()
    while total.killed + total.stopped < kills:
        workdir = scratch / f"killed_{total.runs}"
        command = [*arguments, f"--workdir={workdir}"]
        total = _killed_run(command, workdir, scratch / "log.txt", draw, total)
        total = total._replace(different=(*total.different, *differences(calm, workdir)))
    return total


def _killed_run(arguments: Sequence[str], workdir: Path, log: Path, draw: random.Random, total: Outcome) -> Outcome:
    while True:
        before = _unfinished(workdir)
        process = start(arguments, log)
        sent = draw.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM))
        # Counted in what is written, not in seconds, so that runs get on however busy the machine is.
        _wait_for_writes(workdir, draw.choice((0, 1, 2, 4, 8)), process.is_alive)
        time.sleep(draw.choice((draw.uniform(0, 0.02), draw.uniform(0, 0.5))))
        if process.is_alive():
            os.kill(process.pid, sent)
        process.join()
        total = total._replace(starts=total.starts + 1)
        if process.exitcode == 0:
            return total._replace(runs=total.runs + 1)
        if sent == signal.SIGKILL:
            _expect(process.exitcode, (-signal.SIGKILL,), log)
            writing = total.writing + bool(_unfinished(workdir) - before)
            total = total._replace(killed=total.killed + 1, writing=writing)
        else:
            # Before Python has put up the handler, and while nothing can be saved, the signal itself ends the program.
            _expect(process.exitcode, (128 + signal.SIGTERM, -signal.SIGTERM), log)
            total = total._replace(stopped=total.stopped + 1)


def _wait_for_writes(workdir: Path, count: int, alive: Callable[[], bool]) -> None:
    """Wait until so many unfinished files or folders have appeared since now."""
    seen, appeared = _unfinished(workdir), 0
    while appeared < count and alive():
        now = _unfinished(workdir)
        appeared += len(now - seen)
        seen = now
        time.sleep(0.001)


def _unfinished(workdir: Path) -> set[tuple[str, int]]:
    """Find what is being written, or was when a run was killed; inodes tell those of two starts apart."""
    found = set()
    for folder, folders, files in os.walk(workdir):
        hidden = [name for name in (*folders, *files) if name.startswith(".") and name != ".lock"]
        folders[:] = [name for name in folders if name not in (*hidden, "log", "report", "ticket", "d")]
        for name in hidden:
            with contextlib.suppress(OSError):  # finished meanwhile
                found.add((f"{folder}/{name}", os.lstat(f"{folder}/{name}").st_ino))
    return found


def _expect(code: int | None, wanted: Sequence[int], log: Path) -> None:
    if code not in wanted:
        last = log.read_text(errors="replace").strip().splitlines()[-1:]
        raise RuntimeError(f"a start ended with {code}, not {' or '.join(map(str, wanted))}: {last}; see {log}")


def main(argv: Sequence[str]) -> int:
    """Kill runs of both kinds and print a table; return 1 if something differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="of each kind of run, at least (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="decides when and how (default: 0)")
    parser.add_argument("--runs", type=Path, default=Path("runs/faults/kill"), help="where runs lie; made anew")
    given = parser.parse_args(argv)
    shutil.rmtree(given.runs, ignore_errors=True)
    print(f"{'run':18}  starts  SIGKILL  SIGTERM  while writing  finished  different")
    failed = False
    for name, arguments in RUNS.items():
        scratch = given.runs.absolute() / name.replace(" ", "_")
        calm = undisturbed(arguments, scratch)
        outcome = kill_until_done(arguments, calm, scratch, kills=given.kills, seed=given.seed)
        failed |= bool(outcome.different)
        print(
            f"{name:18}  {outcome.starts:6}  {outcome.killed:7}  {outcome.stopped:7}  {outcome.writing:13}  "
            f"{outcome.runs:8}  {len(outcome.different) or 'nothing':>9}"
        )
        print(*outcome.different, sep="\n", end="\n" if outcome.different else "")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
