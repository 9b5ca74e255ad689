"""The command that prepares data: `python -m lpjax.data.prepare cifar10`."""

import sys
from collections.abc import Sequence

from lpjax.choices import one_of
from lpjax.command import OneLineParser
from lpjax.data.archives import ARCHIVES, prepare_archive
from lpjax.data.folders import prepare_folder


def main(argv: Sequence[str] | None = None) -> None:
    """Prepares a data set and says where it lies; a mistake ends with one line and exit code 2.

    Args:
      argv: The arguments; None for those of the command line.
    """
    parser = OneLineParser(
        prog="python -m lpjax.data.prepare",
        description="Writes a TFDS directory without TensorFlow.",
    )
    parser.add_argument("what", help="cifar10, cifar100, or folder")
    parser.add_argument("--data_dir", default="", help="where TFDS directories lie (default: TFDS's own)")
    parser.add_argument("--archive", default="", help="the official cifar-*-python.tar.gz, if it is on disk")
    parser.add_argument("--name", default="", help="folder: what to call the new data set")
    parser.add_argument("--source", default="", help="folder: where train/<class>/ and test/<class>/ lie")
    parser.add_argument("--any_size", action="store_true", help="folder: images of many sizes, to be streamed")
    given = parser.parse_args(argv)
    try:
        one_of("data set", given.what, (*ARCHIVES, "folder"))
        if given.what == "folder":
            if not given.name or not given.source:
                raise ValueError("folder needs --name=NAME and --source=DIR")
            directory = prepare_folder(given.name, given.source, given.data_dir, any_size=given.any_size)
        else:
            directory = prepare_archive(given.what, given.data_dir, given.archive)
    except ValueError as error:
        parser.error(str(error))
    sys.stdout.write(f"{directory}\n")


if __name__ == "__main__":
    main()
