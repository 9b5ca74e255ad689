"""The command that writes the page of a run at any time: `python -m lpjax.report runs/demo`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from lpjax.cache import expand_home
from lpjax.command import OneLineParser
from lpjax.errors import StorageError, UserError
from lpjax.report import reading, so_far
from lpjax.report.page import write
from lpjax.store import paths


def main(argv: Sequence[str] | None = None, prog: str = "python -m lpjax.report") -> None:
    """Write the page from what a work directory holds by now, and say what is missing; the run is not disturbed."""
    parser = OneLineParser(
        prog=prog,
        description="Writes the page of a run that has finished, is at work, or was cut off.",
    )
    parser.add_argument("workdir", help="what --workdir was given")
    parser.add_argument("--out", default="", help="where the page goes (default: report/ in the work directory)")
    given = parser.parse_args(argv)
    try:
        workdir = expand_home(given.workdir)
        out = expand_home(given.out) if given.out else None
        reading.config(workdir)
        page = write(workdir, _command(workdir), out)
        missing = so_far.missing(workdir)
    except (UserError, StorageError) as error:
        parser.error(str(error))
    if missing:
        sys.stdout.write(f"unfinished: {missing}\n")
    sys.stdout.write(f"report: {page}\n")


def _command(workdir: Path) -> str:
    try:
        return paths.command(workdir).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {paths.command(workdir)} ({error}); delete it") from error


if __name__ == "__main__":
    main()
