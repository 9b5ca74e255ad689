"""The command: `python -m lpjax.main --config=configs/digits_resnet8.py --workdir=runs/demo`."""

import os
import re
import shlex
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import jax

from lpjax.command import USER_MISTAKE, extra

with extra("run", command=__name__ == "__main__"):
    from absl import app, flags, logging
    from ml_collections import config_flags

    from lpjax import report
    from lpjax.run import Agreed, Preempted, ensure_known, join, on_notice, remember_compilations, run, told

_CONFIG = config_flags.DEFINE_config_file("config", None, "A file of configs/, or one like them.", lock_config=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "Where everything is kept; the same command again resumes.")

FAILED, INTERRUPTED, PREEMPTED = 1, 130, 143
_GOES_ON = "the same command goes on where this one was"
_STATUS = re.compile(r"[A-Z_]{5,}: ")  # how what JAX's runtime says begins, whatever the kind of error


def main(argv: Sequence[str]) -> None:
    """Runs what the config asks for and writes the report.

    Exit codes: 2 for a user's mistake and a disk that takes no more, 130 after Ctrl-C, 143 after SIGTERM; and 1 where
    one of several processes cannot go on, as another died. Each comes with one line.

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
        join(_CONFIG.value.get("distributed", "none"))
        with on_notice():
            run(_CONFIG.value, workdir, command)
            page = told(lambda: str(report.write(workdir, command)))
    except ValueError as error:
        if jax.distributed.is_initialized() and _STATUS.match(str(error)):
            _cannot_go_on(error)
        _end(str(error), USER_MISTAKE, together=isinstance(error, Agreed))
    except OSError as error:
        what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        _end(f"{what}; mend that and run the same command again: what was saved is whole", USER_MISTAKE)
    except KeyboardInterrupt:
        _end(f"stopped; {_GOES_ON}", INTERRUPTED)
    except Preempted as stop:  # all processes heard of it
        by = " by SIGTERM" if stop.code == PREEMPTED else ""
        _end(f"stopped{by}; {_GOES_ON}", int(stop.code or FAILED), together=True)
    except Exception as error:
        if not jax.distributed.is_initialized():
            raise
        if not isinstance(error, jax.errors.JaxRuntimeError):
            traceback.print_exc()
        _cannot_go_on(error)
    if jax.process_index() == 0:
        print(f"report: {page}")
    jax.distributed.shutdown()


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
    try:
        for argument in argv:
            if argument.startswith("--config."):
                ensure_known(argument.removeprefix("--config.").split("=")[0])
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


def _cannot_go_on(error: Exception) -> NoReturn:
    said = str(error).strip().splitlines()[0]
    _end(f"process {jax.process_index()} cannot go on: {said}; if another one stopped, it says why; {_GOES_ON}", FAILED)


def _refuse(message: str) -> NoReturn:
    _end(message, USER_MISTAKE)


def _end(message: str, code: int, *, together: bool = False) -> NoReturn:
    """Says one line and ends this process: with the others if all are at this point, else so that they notice."""
    several = jax.distributed.is_initialized()
    if not (several and together and jax.process_index()):
        print(f"lpjax: {' '.join(message.split())}", file=sys.stderr, flush=True)
    if several and not together:  # waiting for the others, as JAX does at exit, would be waiting for each other
        sys.stdout.flush()
        os._exit(code)
    jax.distributed.shutdown()
    sys.exit(code)


if __name__ == "__main__":
    try:
        app.run(main, flags_parser=parse)
    except SystemExit as end:
        if not end.code:
            raise
        # Threads that were writing when the run stopped would complain, line after line, of the end of the interpreter.
        sys.stdout.flush()
        os._exit(int(end.code))
