"""The command: `python -m lpjax.interop.torch SRC DST`, tickets of the PyTorch implementations both ways."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lpjax import data
from lpjax.command import OneLineParser
from lpjax.interop.convert import MASKS
from lpjax.interop.exporting import export_ticket
from lpjax.interop.importing import import_tickets
from lpjax.interop.layout import FORMS
from lpjax.store import paths

_IMPORT, _EXPORT = ("model", "mask", "seed", "level"), ("form", "dataset")


def main(argv: Sequence[str] | None = None) -> None:
    """Imports tickets, or exports one; a mistake ends with one line and exit code 2.

    Args:
      argv: The arguments; None for those of the command line.
    """
    parser = OneLineParser(
        prog="python -m lpjax.interop.torch",
        description="Turns tickets of the PyTorch implementations into tickets of lpjax, or one of these into a .pth.",
    )
    parser.add_argument("src", type=Path, help="folder or file of PyTorch tickets; or a level or pool of lpjax")
    parser.add_argument("dst", type=Path, help="folder for tickets of lpjax; or a .pth file")
    parser.add_argument("--model", help="import: the architecture, if it should not be recognized")
    parser.add_argument(
        "--mask", choices=MASKS, help="import: where files have no masks, nonzero takes zeros as pruned"
    )
    parser.add_argument("--seed", type=_count, help="import: what to call the replicate (default 0)")
    parser.add_argument("--level", type=_count, help="import: level of a lone state dict, or the first of a folder")
    parser.add_argument("--form", choices=FORMS, help="export: with masks, or the weights alone (default for ImageNet)")
    parser.add_argument("--dataset", choices=(*data.PUBLISHED, "none"), help="export: normalization to build in")
    given = vars(parser.parse_args(argv))
    src, dst = given.pop("src").expanduser(), given.pop("dst").expanduser()
    options = {name: value for name, value in given.items() if value is not None}
    exporting = paths.ticket(src).is_dir()
    try:
        if strangers := sorted(options.keys() & {*(_IMPORT if exporting else _EXPORT)}):
            raise ValueError(f"--{strangers[0]} is for {'imports' if exporting else 'exports'}, this is the other way")
        for line in (export_ticket if exporting else import_tickets)(src, dst, **options):
            sys.stdout.write(f"{line}\n")
    except (ValueError, OSError) as error:
        parser.error(str(error))


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is no integer from 0 on")
    return int(text)


if __name__ == "__main__":
    main()
