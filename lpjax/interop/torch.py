"""The command `python -m lpjax.interop.torch SRC DST`, which imports or exports tickets."""

import sys
from collections.abc import Sequence
from pathlib import Path

from lpjax import data
from lpjax.cache import expand_home
from lpjax.command import OneLineParser, count
from lpjax.errors import UserError
from lpjax.interop.exporting import export_ticket, ticket_directory
from lpjax.interop.importing import MASKS, import_tickets
from lpjax.interop.layout import FORMS

_IMPORT = ("model", "mask", "seed", "level")
_EXPORT = ("form", "dataset")


def main(argv: Sequence[str] | None = None) -> None:
    """Import tickets, or export one; user errors print one line and exit with code 2."""
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
    parser.add_argument("--seed", type=count, help="import: seed of the replicate (default 0)")
    parser.add_argument("--level", type=count, help="import: level of a single state dict, or of the first of a folder")
    parser.add_argument(
        "--form", choices=FORMS, help="export: with masks, or only weights, which take less room (default for OpenLTH)"
    )
    parser.add_argument(
        "--dataset", choices=(*data.PUBLISHED, "none"), help="export: data set whose normalization is included"
    )
    options = vars(parser.parse_args(argv))
    options = {name: value for name, value in options.items() if value is not None}
    try:
        src = expand_home(options.pop("src"))
        dst = expand_home(options.pop("dst"))
        exporting = ticket_directory(src) is not None
        for name in _IMPORT if exporting else _EXPORT:
            if name in options:
                raise UserError(f"--{name} is only for {'imports' if exporting else 'exports'}; omit it")
        convert = export_ticket if exporting else import_tickets
        for line in convert(src, dst, **options):
            sys.stdout.write(f"{line}\n")
    except (UserError, OSError) as error:
        parser.error(f"{error}; nothing was written")


if __name__ == "__main__":
    main()
