"""The command: `python -m lpjax.main --config=configs/digits_resnet8.py --workdir=runs/demo`."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags, logging
from ml_collections import config_flags

from lpjax import report
from lpjax.choices import one_of
from lpjax.run import default_config, fields, remember_compilations, run

_CONFIG = config_flags.DEFINE_config_file("config", None, "A file of configs/, or one like them.", lock_config=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "Where everything is kept; the same command again resumes.")

USER_MISTAKE = 2


def main(argv: Sequence[str]) -> None:
    """Runs what the config asks for and writes the report.

    Args:
      argv: Positional arguments; there are none to give.
    """
    if len(argv) > 1:
        _refuse(f"unknown argument {argv[1]!r}; give --config=FILE.py --workdir=DIR --config.field=value")
    workdir = Path(str(_WORKDIR.value)).expanduser()
    command = f"python -m lpjax.main {shlex.join(sys.argv[1:])}"
    logging.set_verbosity(logging.WARNING)
    remember_compilations()
    try:
        run(_CONFIG.value, workdir, command)
        page = report.write(workdir, command)
    except ValueError as error:
        _refuse(str(error))
    except KeyboardInterrupt:
        print("lpjax: stopped; the same command goes on where this one was", file=sys.stderr)
        sys.exit(130)
    print(f"report: {page}")


def parse(argv: Sequence[str]) -> list[str]:
    """Reads the flags; a wrong one ends the program with one line.

    Args:
      argv: The command line.

    Returns:
      What is left of it.
    """
    try:
        rest = flags.FLAGS(argv)
        if flags.FLAGS["config"].value is not None:
            _CONFIG.value.to_dict()  # files are loaded when first looked at
    except Exception as error:  # a config file is a program: whatever it raises is its author's to mend
        _refuse(_unknown_field(argv) or _reason(error) or repr(error))
    for name in ("config", "workdir"):
        if flags.FLAGS[name].value is None:
            _refuse(f"--{name} is missing; give --config=configs/digits_resnet8.py --workdir=runs/demo")
    return rest


def _unknown_field(argv: Sequence[str]) -> str:
    known = fields(default_config())
    try:
        for argument in argv:
            if argument.startswith("--config."):
                one_of("config field", argument.removeprefix("--config.").split("=")[0], known)
    except ValueError as error:
        return str(error)
    return ""


def _reason(error: Exception) -> str:
    """Tells what went wrong; of a config file that raised, its last word instead of the traceback that flags quote."""
    said = str(error.args[0] if error.args else error)
    if "Traceback (most recent call last)" not in said:
        return said
    last = said.strip().splitlines()[-1]
    return last.partition("Error: ")[2] or last


def _refuse(message: str) -> None:
    print(f"lpjax: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(USER_MISTAKE)


if __name__ == "__main__":
    app.run(main, flags_parser=parse)
