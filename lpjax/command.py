"""What the commands share: how they read their line, and what they say if an extra is not installed."""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import jax

from lpjax.cache import cache_directory

USER_MISTAKE = 2
"""The exit code for what the user can mend."""


def remember_compilations() -> None:
    """Keep compiled programs on disk, so that the next run starts at once; a cache of the user's own is left alone."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(cache_directory() / "xla"))
        # Several processes wait for each other at every program that is kept.
        shortest = 0.2 if jax.distributed.is_initialized() else 0.0
        jax.config.update("jax_persistent_cache_min_compile_time_secs", shortest)


@contextmanager
def extra(name: str, *, command: bool = False) -> Iterator[None]:
    """Name the extra to install if an import in the block finds a package missing.

    `python -m lpjax.data.prepare` imports `lpjax.data` before the command itself. Python says so by setting
    `sys.argv[0]` to `"-m"`, and a missing package ends the program then, too.

    Args:
      name: The extra of `pyproject.toml` that installs the package.
      command: Whether to end the program, with one line and exit code 2, instead of raising.

    Yields:
      Nothing.

    Raises:
      ModuleNotFoundError: If a package is missing; its message says what to install.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "lpjax"):
            raise
        message = f'the package {package} is missing; do: pip install "lpjax[{name}]"'
        if command or sys.argv[0] == "-m":
            sys.stderr.write(f"lpjax: {message}\n")
            sys.exit(USER_MISTAKE)
        raise ModuleNotFoundError(message, name=error.name) from error


def count(text: str) -> int:
    """Read an integer of at least 0, as the `type` of an argument.

    Args:
      text: As it was typed.

    Returns:
      The integer.

    Raises:
      argparse.ArgumentTypeError: If it is none.

    Example:
      >>> count('3')
      3
    """
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"got {text!r}, expected an integer of at least 0")
    return int(text)


class OneLineParser(argparse.ArgumentParser):
    """Reads a command line without abbreviations; refuses it without the usage that argparse puts before the reason."""

    def __init__(self, prog: str, description: str) -> None:
        """Begins without arguments.

        Args:
          prog: The command, as it is typed.
          description: What it does.
        """
        super().__init__(prog=prog, description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Says one line on stderr and ends the program.

        Args:
          message: What is wrong, and what to do.
        """
        self.exit(USER_MISTAKE, f"lpjax: {' '.join(message.split())}\n")
