"""The command: `python -m lpjax.main --config=configs/digits_resnet8.py --workdir=runs/demo`.

Exit codes: 0; 2 for what the user can mend and for a disk that refuses, 130 after Ctrl-C, 143 after SIGTERM, each with
one line; 1 for everything else, with its traceback.
"""

import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import jax

from lpjax import wording
from lpjax.cache import expand_home
from lpjax.command import USER_MISTAKE, extra, remember_compilations
from lpjax.errors import StorageError, UserError

with extra("run", command=__name__ == "__main__"):
    from absl import app, flags, logging
    from ml_collections import config_flags

    from lpjax import report, run
    from lpjax.run import config, hosts, settings

_CONFIG = config_flags.DEFINE_config_file("config", None, "A file of configs/, or one like them.", lock_config=True)
_WORKDIR = flags.DEFINE_string("workdir", None, "Where everything is kept; the same command again resumes.")
_PLAN = flags.DEFINE_bool("plan", False, "List the stages, what is done and what is missing; compute nothing.")

FAILED = 1
INTERRUPTED = 130
_OPTIONS = "--config=FILE.py --workdir=DIR [--plan] [--config.SETTING=VALUE ...]"
_RESUMES = "the same command resumes"


def main(argv: Sequence[str]) -> None:
    """Run what the config asks for, and write the report.

    Args:
      argv: Positional arguments; there are none to give.
    """
    if len(argv) > 1:
        _refuse(f"unknown argument {argv[1]!r}; {_usage()}")
    command = f"{_program()} {shlex.join(sys.argv[1:])}"
    logging.set_verbosity(logging.WARNING)
    try:
        workdir = expand_home(str(_WORKDIR.value))
        run.join(_CONFIG.value.get("distributed", "none"))
        remember_compilations()
        with run.handle_preemption():
            if _PLAN.value:
                last_line = run.show_plan(_CONFIG.value, workdir)
            else:
                run.run(_CONFIG.value, workdir, command)
                last_line = hosts.broadcast_from_process0(lambda: f"report: {report.write(workdir, command)}")
    except (UserError, StorageError) as error:
        together = isinstance(error, hosts.ReplicatedError | hosts.ReplicatedStorageError)
        _end(str(error), USER_MISTAKE, together=together)
    except KeyboardInterrupt:
        _end(f"stopped; {_RESUMES}", INTERRUPTED)
    except run.Preempted as stop:  # every process was told
        by = " by SIGTERM" if stop.code != INTERRUPTED else ""
        _end(f"stopped{by}; {_RESUMES}", int(stop.code or FAILED), together=True)
    except Exception as error:
        if not jax.distributed.is_initialized():
            raise
        _fail(error)
    if jax.process_index() == 0:
        print(last_line)
    jax.distributed.shutdown()


def _program() -> str:
    """Name the command as it was typed."""
    return sys.argv[0] if sys.argv[0].startswith("lpjax ") else "python -m lpjax.main"


def _usage() -> str:
    return f"usage: {_program()} {_OPTIONS}"


def parse(argv: Sequence[str]) -> list[str]:
    """Read the flags, and return what is left; a wrong flag ends the program with one line."""
    if "--help" in argv:
        print(f"{_usage()}\n\nsettings, with their defaults:\n{settings.help_text()}")
        sys.exit(0)
    for name in ("config", "workdir"):
        if not any(argument == f"--{name}" or argument.startswith(f"--{name}=") for argument in argv):
            _refuse(f"--{name} is missing; {_usage()}")
    path = _config_path(argv)
    if path and not Path(path).exists():
        _refuse(f"--config: got {path!r}, which does not exist; give a file such as configs/digits_resnet8.py")
    try:
        rest = flags.FLAGS(argv)
        _CONFIG.value.to_dict()  # files are loaded when first looked at
    except Exception as error:  # a config file is a program: whatever it raises is its author's to mend
        _refuse(_unknown_field(argv) or _reason(error, path))
    return rest


def _config_path(argv: Sequence[str]) -> str:
    for argument in argv:
        if argument.startswith("--config="):
            value = argument.removeprefix("--config=")
            return value if Path(value).exists() else value.partition(":")[0]  # the rest is the file's argument
    return ""


def _unknown_field(argv: Sequence[str]) -> str:
    try:
        for argument in argv:
            if argument.startswith("--config."):
                config.assert_known(argument.removeprefix("--config.").split("=")[0])
    except UserError as error:
        return str(error)
    return ""


def _reason(error: Exception, path: str) -> str:
    """Say what a config file has raised, and in which of its lines; or what absl says of a wrong flag."""
    chain: list[BaseException] = [error]
    while chain[-1].__context__ is not None:
        chain.append(chain[-1].__context__)
    for raised in reversed(chain):  # what absl raises in its place quotes the traceback
        if isinstance(raised, UserError):
            return str(raised)
        if isinstance(raised, SyntaxError) and raised.filename == path:
            return f"{path}, line {raised.lineno}: SyntaxError: {raised.msg}"
        lines = [frame.lineno for frame in traceback.extract_tb(raised.__traceback__) if frame.filename == path]
        if lines:
            return f"{path}, line {lines[-1]}: {type(raised).__name__}: {raised}"
    return wording.reason_of_flags(error) or repr(error)


def _fail(error: Exception) -> NoReturn:
    """End one of several processes with the traceback of a bug, or one line if another process has stopped."""
    if wording.is_runtime_status(error) or isinstance(error, jax.errors.JaxRuntimeError):
        first_line = str(error).strip().splitlines()[0]
        _end(
            f"process {jax.process_index()} cannot continue: {first_line}; if another one stopped, it says why; "
            f"{_RESUMES}",
            FAILED,
        )
    traceback.print_exc()
    _leave(FAILED, together=False)


def _refuse(message: str) -> NoReturn:
    _end(message, USER_MISTAKE)


def _end(message: str, code: int, *, together: bool = False) -> NoReturn:
    """Print one line and end this process."""
    if not (jax.distributed.is_initialized() and together and jax.process_index()):
        print(f"lpjax: {' '.join(message.split())}", file=sys.stderr, flush=True)
    _leave(code, together=together)


def _leave(code: int, *, together: bool) -> NoReturn:
    """End this process: with the others if all are at this point, else so that they notice."""
    if jax.distributed.is_initialized() and not together:  # JAX would wait at exit for the others, which wait for us
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    jax.distributed.shutdown()
    sys.exit(code)


def start() -> None:
    """Run the command that `sys.argv` holds, and end the program."""
    try:
        app.run(main, flags_parser=parse)
    except SystemExit as end:
        if not end.code:
            raise
        # Threads that were writing when the run stopped would complain, line after line, of the end of the interpreter.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(end.code))


if __name__ == "__main__":
    start()
