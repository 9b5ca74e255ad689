"""Directories that are whole or not there: sealed, written beside their place, and renamed.

A seal is the digest of every file. Orbax does not notice when bytes of an array change (its values carry no checksum),
and what it says of broken files is many lines long; so nothing it reads goes unchecked.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax

from lpjax.errors import StorageError, UserError
from lpjax.store.trouble import cannot_write, writing

COMMIT = "commit_success.txt"
_SEAL = "seal.json"
_PATIENCE, _PAUSE = 10.0, 0.2  # seconds
_SYSTEM_ERROR = re.compile(r"os_error_code='(\d+)'")


class DamagedTicket(UserError):  # noqa: N818 (the word says what is wrong; "Error" would add nothing)
    """A ticket's directory is missing, incomplete or holds other bytes than were written."""

    what, lost = "ticket", "only this ticket is recomputed"

    def __init__(self, directory: Path, reason: str) -> None:
        self.reason = reason
        directory = newest(directory)  # what a user is told to delete is there
        super().__init__(
            f"damaged {self.what} {directory}: {reason}; delete that folder and run the same command again: {self.lost}"
        )


class DamagedProgress(DamagedTicket):
    """The saved progress of a training is not what was saved."""

    what, lost = "progress", "the level starts again"


def fresh(directory: Path) -> Path:
    """Names where a directory is written before it takes its place."""
    return _beside(directory, "new")


def newest(directory: Path) -> Path:
    """Names where a directory lies whole: in its place, or beside it while the next one takes it."""
    old = _beside(directory, "old")
    return old if old.exists() and not directory.exists() else directory


def settle(directory: Path) -> None:
    """Seals what was written to `fresh(directory)` and puts it in its place; what was there stays whole until then."""
    # Between the two renames nothing carries the directory's name: `newest` then takes the old one, which is whole.
    written, old = fresh(directory), _beside(directory, "old")
    _write_seal(written)
    if directory.exists():
        shutil.rmtree(old, ignore_errors=True)
        directory.rename(old)
    written.rename(directory)
    (old / COMMIT).unlink(missing_ok=True)
    shutil.rmtree(old, ignore_errors=True)


def found(directory: Path) -> Path:
    """Names where a directory lies whole, checked.

    To further processes, on other hosts, a shared disk may show late what the first has written: they look again.

    Raises:
      DamagedTicket: Naming the first file that differs.
    """
    until = time.monotonic() + (_PATIENCE if jax.process_index() else 0)
    while True:
        place = newest(directory)
        try:
            check(place)
        except DamagedTicket:
            if time.monotonic() >= until:
                raise
            time.sleep(_PAUSE)
        else:
            return place


def check(directory: Path) -> None:
    """Refuses a directory that is not what was sealed.

    Raises:
      DamagedTicket: Naming the first file that differs.
    """
    if not (directory / COMMIT).exists():
        raise DamagedTicket(directory, "nothing whole is there")
    try:
        seal = dict(json.loads((directory / _SEAL).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DamagedTicket(directory, f"its {_SEAL} cannot be read") from error
    for name, digest in seal.items():
        if _digest(directory / name) != digest:
            raise DamagedTicket(directory, f"its file {name} is missing or not what was saved")


def remove(directory: Path) -> None:
    """Removes a directory, and what killed processes left beside it; of several processes the first does.

    Args:
      directory: What `save` or `save_progress` was given; may be missing.
    """
    if jax.process_index():
        return
    clean(directory)
    for place in (_beside(directory, "old"), directory):
        with writing(place):
            (place / COMMIT).unlink(missing_ok=True)
        shutil.rmtree(place, ignore_errors=True)


def clean(directory: Path) -> None:
    """Removes what processes that were killed while they wrote left beside a directory."""
    if jax.process_index() == 0:
        backup = [_beside(directory, "old")] if directory.exists() else []
        begun = [fresh(directory), *directory.parent.glob(f"{fresh(directory).name}.*")]  # Orbax adds an ending
        for left in (*backup, *begun):
            shutil.rmtree(left, ignore_errors=True)


@contextmanager
def written(directory: Path) -> Iterator[None]:
    """Cleans up after a failed write, and turns what the system and Orbax say of it into one line.

    Raises:
      StorageError: Where the system refused.
    """
    _hush()
    try:
        yield
    except Exception as error:  # Orbax's storage has errors of many kinds for what the system refused
        clean(directory)
        reason = _refusal(error)
        if reason is None or isinstance(error, StorageError):
            raise
        raise cannot_write(directory, reason) from error


def _refusal(error: BaseException | None) -> str | None:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    code = _SYSTEM_ERROR.search(str(error))
    return os.strerror(int(code[1])) if code else None


@cache
def _hush() -> None:
    """Leaves to us, from the first save on, what is said of failed ones; threads may say it when a save has ended."""
    logging.getLogger("absl").addFilter(_unsaid)
    sys.unraisablehook = partial(_unraised, say=sys.unraisablehook)


def _unsaid(record: logging.LogRecord) -> bool:
    """Keeps Orbax from printing tracebacks of what is going to be said in one line."""
    return not (record.exc_info and _refusal(record.exc_info[1]))


def _unraised(error: Any, say: Callable[[Any], Any]) -> None:
    """Passes over what tensorstore still reports to Orbax, of further arrays, when Orbax has given up at the first."""
    if str(error.exc_value) != "Event loop is closed":
        say(error)


def _write_seal(directory: Path) -> None:
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())  # some disks say only now that they are full, or wait for the power to fail
    seal = {path.relative_to(directory).as_posix(): _digest(path) for path in files}
    with (directory / _SEAL).open("w", encoding="utf-8") as file:
        json.dump(seal, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return "unreadable"


def _beside(directory: Path, what: str) -> Path:
    return directory.with_name(f".{directory.name}.{what}")
