"""Directories that are whole or not there: written beside their place, sealed, and renamed.

A seal holds the SHA-256 digest of every file. Orbax does not notice when bytes of an array change (its values carry no
checksum), and what it says of broken files is many lines long, so nothing is read that was not verified.
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
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax

from lpjax.cache import temporary_directory
from lpjax.errors import UserError
from lpjax.store.errors import wrap_os_errors
from lpjax.wording import is_late_report, system_refusal

COMMIT = "commit_success.txt"  # Orbax writes it last
_SEAL = "seal.json"
_PATIENCE = 10.0  # seconds
_PAUSE = 0.2
_SPECIAL = re.compile(r"[*?\[\]\\:]")  # of patterns and of addresses


class DamagedTicket(UserError):  # noqa: N818 (the word says what is wrong; "Error" would add nothing)
    """A ticket's directory is missing, incomplete or holds other bytes than were written."""

    what = "ticket"
    lost = "only this ticket is recomputed"

    def __init__(self, directory: Path, reason: str) -> None:
        self.reason = reason
        directory = current(directory)  # what a user is told to delete is there
        if (directory / _SEAL).exists():
            message = f"damaged {self.what} {directory}: {reason}; delete that folder and run the same command again"
        else:  # it may be a folder of the user's own, or a checkpoint of another program: it must not be deleted
            message = (
                f"no whole {self.what} in {directory}: {reason}; give the folder of a level, or move this one away and "
                "run the same command again"
            )
        super().__init__(f"{message}: {self.lost}")


class DamagedProgress(DamagedTicket):
    """The saved progress of a training is not what was saved."""

    what = "progress"
    lost = "the level starts again"


def tmp_path(directory: Path) -> Path:
    """Name where a directory is written before it takes its place."""
    return directory.with_name(_SPECIAL.sub("-", f".{directory.name}.new"))


def current(directory: Path) -> Path:
    """Name where a directory lies whole: in its place, or beside it while the next one takes it."""
    old = _backup(directory)
    return old if old.exists() and not directory.exists() else directory


def commit(directory: Path) -> None:
    """Seal what was written to `tmp_path` and put it in its place; what was there stays whole until then."""
    # Between the two renames nothing carries the directory's name: `current` then takes the old one, which is whole.
    written = tmp_path(directory)
    old = _backup(directory)
    _write_seal(written)
    if directory.exists():
        shutil.rmtree(old, ignore_errors=True)
        directory.rename(old)
    written.rename(directory)
    (old / COMMIT).unlink(missing_ok=True)
    shutil.rmtree(old, ignore_errors=True)


def verified(directory: Path) -> Path:
    """Name where a directory lies whole, checked; raise DamagedTicket, naming the first file that differs.

    To further processes, on other hosts, a shared disk may show late what the first has written: they look again.
    """
    until = time.monotonic()
    if jax.process_index():
        until += _PATIENCE
    while True:
        place = current(directory)
        try:
            _check(place)
        except DamagedTicket:
            if time.monotonic() >= until:
                raise
            time.sleep(_PAUSE)
        else:
            return place


def remove(directory: Path) -> None:
    """Remove a directory, and what killed processes left beside it; of several processes the first does.

    Args:
      directory: What `save` or `save_progress` was given; may be missing.
    """
    if jax.process_index():
        return
    remove_leftovers(directory)
    for place in (_backup(directory), directory):
        with wrap_os_errors(place):
            (place / COMMIT).unlink(missing_ok=True)
        shutil.rmtree(place, ignore_errors=True)


def remove_leftovers(directory: Path) -> None:
    """Remove what processes that were killed while they wrote left beside a directory."""
    if jax.process_index():
        return
    begun = tmp_path(directory)
    leftovers = [begun, *directory.parent.glob(f"{begun.name}.*")]  # Orbax adds an ending
    if directory.exists():
        leftovers.append(_backup(directory))
    for path in leftovers:
        shutil.rmtree(path, ignore_errors=True)


def orbax_path(directory: Path) -> Path:
    """Name a directory, by a symbolic link, without characters that Orbax reads as a pattern or an address."""
    special = [number for number, part in enumerate(directory.parts, 1) if _SPECIAL.search(part)]
    if not special:
        return directory
    target = Path(*directory.parts[: special[-1]])
    link = temporary_directory() / hashlib.sha256(os.fsencode(target)).hexdigest()
    target.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        link.symlink_to(target)
    return link.joinpath(*directory.parts[special[-1] :])


@contextmanager
def replacing(directory: Path) -> Iterator[Path]:
    """Yield where Orbax writes a directory's successor; clean up after a failure, which becomes one line."""
    _silence_orbax()
    with wrap_os_errors(directory):
        try:
            yield orbax_path(tmp_path(directory))
        except Exception:
            remove_leftovers(directory)
            raise


@cache
def _silence_orbax() -> None:
    """Silence what Orbax and its threads report of a failed save, which `wrap_os_errors` says in one line."""
    logging.getLogger("absl").addFilter(_is_news)
    sys.unraisablehook = partial(_show_news, show=sys.unraisablehook)


def _is_news(record: logging.LogRecord) -> bool:
    if not record.exc_info:
        return True
    error = record.exc_info[1]
    return not (system_refusal(error) or is_late_report(error))


def _show_news(unraisable: Any, show: Callable[[Any], Any]) -> None:
    if not is_late_report(unraisable.exc_value):
        show(unraisable)


def _check(directory: Path) -> None:
    if not (directory / COMMIT).exists():
        raise DamagedTicket(directory, "nothing whole is there")
    try:
        seal = dict(json.loads((directory / _SEAL).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DamagedTicket(directory, f"its {_SEAL} cannot be read") from error
    for name, digest in seal.items():
        if _digest(directory / name) != digest:
            raise DamagedTicket(directory, f"its file {name} is missing or not what was saved")


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


def _backup(directory: Path) -> Path:
    return directory.with_name(f".{directory.name}.old")
