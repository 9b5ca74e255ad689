"""The command `python -m lpjax.interop.torch SRC DST`, which imports or exports tickets."""

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
    """Imports tickets, or exports one; user errors print one line and exit with code 2.

    Args:
      argv: Command-line arguments; None for `sys.argv`.
    """
    parser = OneLineParser(
        prog="python -m lpjax.interop.torch",
        description="Imports tickets of the PyTorch implementations, or exports a ticket of lpjax as a .pth file.",
    )
    parser.add_argument(
        "src", type=Path, help="import: folder or file of PyTorch tickets; export: level or pool of lpjax"
    )
    parser.add_argument("dst", type=Path, help="import: folder for tickets of lpjax; export: .pth file")
    parser.add_argument("--model", help="import: name of the architecture (default: recognize it)")
    parser.add_argument("--mask", choices=MASKS, help="import: nonzero treats zeros as pruned if files have no masks")
    parser.add_argument("--seed", type=_count, help="import: seed of the replicate (default 0)")
    parser.add_argument(
        "--level", type=_count, help="import: level of a single state dict, or of the first of a folder"
    )
    parser.add_argument("--form", choices=FORMS, help="export: with masks, or only weights (default for ImageNet)")
    parser.add_argument(
        "--dataset", choices=(*data.PUBLISHED, "none"), help="export: data set whose normalization is included"
    )
    given = vars(parser.parse_args(argv))
    src = given.pop("src").expanduser()
    dst = given.pop("dst").expanduser()
    options = {name: value for name, value in given.items() if value is not None}
    exporting = paths.ticket(src).is_dir()
    try:
        unused = sorted(options.keys() & set(_IMPORT if exporting else _EXPORT))
        if unused:
            raise ValueError(f"--{unused[0]} is only for {'imports' if exporting else 'exports'}; omit it")
        lines = export_ticket(src, dst, **options) if exporting else import_tickets(src, dst, **options)
        for line in lines:
            sys.stdout.write(f"{line}\n")
    except (ValueError, OSError) as error:
        parser.error(str(error))


def _count(text: str) -> int:
    if not text.isdigit():
        raise argparse.ArgumentTypeError(f"got {text!r}, expected an integer of at least 0")
    return int(text)


if __name__ == "__main__":
    main()
