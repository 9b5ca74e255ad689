"""The command `python -m lpjax.data.prepare`, which prepares data sets."""

import sys
from collections.abc import Sequence

from lpjax.choices import one_of
from lpjax.command import OneLineParser
from lpjax.data.archives import ARCHIVES, prepare_archive
from lpjax.data.downsample import prepare_downsampled
from lpjax.data.folders import prepare_folder
from lpjax.errors import StorageError, UserError


def main(argv: Sequence[str] | None = None) -> None:
    """Prepare a data set and print its directory; user errors print one line and exit with code 2.

    Args:
      argv: Command-line arguments; None for `sys.argv`.
    """
    parser = OneLineParser(
        prog="python -m lpjax.data.prepare",
        description="Writes a TFDS directory without TensorFlow.",
    )
    parser.add_argument("what", help="cifar10, cifar100, folder, or downsampled")
    parser.add_argument("--data_dir", default="", help="folder of TFDS directories (default: that of TFDS)")
    parser.add_argument(
        "--archive", default="", help="path of the official cifar-*-python.tar.gz (default: download it)"
    )
    parser.add_argument("--name", default="", help="folder: name of the new data set")
    parser.add_argument(
        "--source",
        default="",
        help="folder: directory with train/<class>/ and test/<class>/; downsampled: name of the data set",
    )
    parser.add_argument("--factor", type=int, default=2, help="downsampled: pixels of a side that become one")
    parser.add_argument(
        "--source_dir", default="", help="downsampled: folder that holds the source (default: that of --data_dir)"
    )
    parser.add_argument(
        "--any_size", action="store_true", help="folder: accept images of different sizes, for streaming"
    )
    parser.add_argument(
        "--test_fraction",
        type=float,
        default=0.0,
        help="folder: share of every class to test on, if source holds <class>/ instead of train/ and test/",
    )
    parser.add_argument("--seed", type=int, default=0, help="folder: which images --test_fraction draws")
    given = parser.parse_args(argv)
    try:
        one_of("data set", given.what, (*ARCHIVES, "folder", "downsampled"))
        if given.what == "folder":
            if not given.name or not given.source:
                raise UserError("folder requires --name=NAME and --source=DIR")
            directory = prepare_folder(
                given.name,
                given.source,
                given.data_dir,
                any_size=given.any_size,
                test_fraction=given.test_fraction,
                seed=given.seed,
            )
        elif given.what == "downsampled":
            if not given.source:
                raise UserError("downsampled requires --source=DATASET")
            directory = prepare_downsampled(given.source, given.factor, given.data_dir, given.source_dir)
        else:
            directory = prepare_archive(given.what, given.data_dir, given.archive)
    except (UserError, StorageError) as error:
        parser.error(str(error))
    sys.stdout.write(f"{directory}\n")


if __name__ == "__main__":
    main()
