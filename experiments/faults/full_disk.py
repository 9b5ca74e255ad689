"""Lets a run find its disk full, again and again, a little larger each time, until it finishes.

`python -m experiments.faults.full_disk` (or `make full-disk`) gives the work directory a disk of its own: a tmpfs, in a
mount namespace that disappears with the program. Where namespaces are forbidden, the size of every file is limited
instead. Each start must end with one line and exit code 2, and leave whole what was saved before; the last one finishes
and must leave what an undisturbed run does.
"""

import argparse
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from experiments.faults.compare import differences, tickets
from experiments.faults.kill import RUNS, undisturbed
from experiments.faults.starts import finish

_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
_INSIDE = "--inside"
_RUNS = {
    **RUNS,  # progress, which needs the most room, is what full disks stop first; without it, it is tickets and records
    "iterative pruning, no progress saved": (*RUNS["iterative pruning"], "--config.save_every=10000it"),
}

Run = Callable[[Sequence[str], Path, int], int]
"""`(arguments, log, size) -> exit code`, on a disk of so many bytes."""


class Stop(NamedTuple):
    """A start that came to a full disk: its bytes, what could not be written, and how many tickets were whole then."""

    size: int
    unwritten: str
    tickets: int


def fill(arguments: Sequence[str], workdir: Path, logs: Path, run: Run, sizes: Sequence[int]) -> list[Stop]:
    """Give a command again and again, on disks of these sizes, until it finishes; logs go to another disk.

    Raises:
      RuntimeError: If a start does anything but finish, or end with one line and exit code 2; or if none finishes.
      DamagedTicket: If a full disk harmed what was there.
    """
    stops: list[Stop] = []
    for start, size in enumerate(sizes):
        log = logs / f"start_{start:02d}.log"
        code = run([*arguments, f"--workdir={workdir}"], log, size)
        if code == 0:
            return stops
        lines = log.read_text(errors="replace").strip().splitlines()
        if code != 2 or len(lines) != 1 or not lines[0].startswith("lpjax: cannot "):
            raise RuntimeError(
                f"on a disk of {size:,} bytes a start ended with {code} and {len(lines)} lines; see {log}"
            )
        named = re.search(re.escape(str(workdir)) + r"/?([^\s:]*)", lines[0])
        stops.append(Stop(size, (named and named[1]) or "the work directory", tickets(workdir)))
    raise RuntimeError(f"not finished on a disk of {sizes[-1]:,} bytes; see {log}")


def growing(first: int, factor: float, count: int) -> list[int]:
    """List sizes that grow by a factor, and one that is large enough for everything."""
    return [*(int(first * factor**i) for i in range(count)), 2**28]


def tmpfs(disk: Path) -> Run:
    """Mount a disk of memory; only for whom may mount."""
    disk.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(disk)], check=True)

    def run(arguments: Sequence[str], log: Path, size: int) -> int:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)
        return finish(arguments, log)

    return run


def main(argv: Sequence[str]) -> int:
    """Fill disks and print a table; return 1 if something differs from an undisturbed run."""
    if _INSIDE not in argv and subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0:
        command = [*_NAMESPACE, sys.executable, "-m", "experiments.faults.full_disk", *argv, _INSIDE]
        return subprocess.run(command, check=False).returncode
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--factor", type=float, default=1.3, help="of one disk to the next (default: 1.3)")
    parser.add_argument("--runs", type=Path, default=Path("runs/faults/full_disk"), help="where runs lie; made anew")
    parser.add_argument(_INSIDE, action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    shutil.rmtree(given.runs, ignore_errors=True)
    failed = False
    for name, arguments in _RUNS.items():
        scratch = given.runs.absolute() / re.sub(r"\W+", "_", name)
        calm = undisturbed(arguments, scratch)
        if given.inside:
            run, workdir, smallest = tmpfs(scratch / "disk"), scratch / "disk" / "run", 8192
        else:
            run, workdir, smallest = finish, scratch / "limited", 256
        stops = fill(arguments, workdir, scratch / "logs", run, growing(smallest, given.factor, 40))
        different = differences(calm, workdir)
        failed |= bool(different)
        print(f"{name}, {'a disk' if given.inside else 'no file'} larger than")
        for stop in stops:
            print(f"  {stop.size:11,} bytes: could not write {stop.unwritten}; {stop.tickets} tickets whole")
        print(f"  finished after {len(stops)} full disks; different: {len(different) or 'nothing'}")
        print(*different, sep="\n", end="\n" if different else "")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
