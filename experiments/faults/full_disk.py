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
from experiments.faults.kill import RUNS
from experiments.faults.starts import finish

_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
_INSIDE = "--inside"
_RUNS = {
    **RUNS,  # progress, which needs the most room, is what full disks stop first; without it, it is tickets and records
    "iterative pruning, no progress saved": (*RUNS["iterative pruning"], "--config.save_every=10000it"),
}


class Stop(NamedTuple):
    """A start that came to a full disk.

    Attributes:
      size: Bytes of the disk.
      unwritten: What could not be written.
      tickets: How many were there then, all of them whole.
    """

    size: int
    unwritten: str
    tickets: int


def fill(
    arguments: Sequence[str],
    workdir: Path,
    logs: Path,
    run: Callable[[Sequence[str], Path, int], int],
    sizes: Sequence[int],
) -> list[Stop]:
    """Gives a command again and again, on a disk of growing size, until it finishes.

    Args:
      arguments: Of the command line, without `--workdir`.
      workdir: Where it runs.
      logs: Where its errors go: another disk.
      run: `(arguments, log, size) -> exit code`, on a disk of so many bytes.
      sizes: Of the disk, in bytes.

    Returns:
      One record a start that did not finish.

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
    """Lists sizes that grow by a factor.

    Args:
      first: The smallest.
      factor: Of one to the next.
      count: How many; one that is large enough for everything follows.

    Returns:
      Bytes.

    Example:
      >>> growing(8192, 2, 3)
      [8192, 16384, 32768, 268435456]
    """
    return [*(int(first * factor**i) for i in range(count)), 2**28]


def tmpfs(disk: Path) -> Callable[[Sequence[str], Path, int], int]:
    """Mounts a disk of memory; only for whom may mount.

    Args:
      disk: A directory.

    Returns:
      A `run` for `fill`.
    """
    disk.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(disk)], check=True)

    def run(arguments: Sequence[str], log: Path, size: int) -> int:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)
        return finish(arguments, log)

    return run


def main(argv: Sequence[str]) -> int:
    """Fills disks and prints a table.

    Args:
      argv: Arguments of the command line.

    Returns:
      0 if nothing differs from an undisturbed run, 1 otherwise.
    """
    if _INSIDE not in argv and subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0:
        return subprocess.run(
            [*_NAMESPACE, sys.executable, "-m", "experiments.faults.full_disk", *argv, _INSIDE], check=False
        ).returncode
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--factor", type=float, default=1.3, help="of one disk to the next (default: 1.3)")
    parser.add_argument("--runs", type=Path, default=Path("runs/faults/full_disk"), help="where runs lie; made anew")
    parser.add_argument(_INSIDE, action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    shutil.rmtree(given.runs, ignore_errors=True)
    failed = False
    for name, arguments in _RUNS.items():
        scratch = given.runs.absolute() / re.sub(r"\W+", "_", name)
        calm, log = scratch / "undisturbed", scratch / "undisturbed.log"
        if finish([*arguments, f"--workdir={calm}"], log):
            raise RuntimeError(f"the undisturbed run failed; see {log}")
        if given.inside:
            run, workdir, sizes = tmpfs(scratch / "disk"), scratch / "disk" / "run", growing(8192, given.factor, 40)
        else:
            run, workdir, sizes = finish, scratch / "limited", growing(256, given.factor, 40)
        stops = fill(arguments, workdir, scratch / "logs", run, sizes)
        different = differences(calm, workdir)
        failed |= bool(different)
        print(f"{name}, {'a disk' if given.inside else 'no file'} larger than")
        for stop in stops:
            print(f"  {stop.size:11,} bytes: could not write {stop.unwritten}; {stop.tickets} tickets whole")
        print(
            f"  finished after {len(stops)} full disks; different: {len(different) or 'nothing'}", *different, sep="\n"
        )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
