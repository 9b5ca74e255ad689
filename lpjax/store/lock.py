"""One run at a time in a work directory: a lock that the kernel takes back from a process that dies."""

import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from lpjax.store import paths

_UNKNOWN = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)


@contextmanager
def lock(workdir: Path) -> Iterator[None]:
    """Holds a work directory, so that no second run writes there.

    A process that dies, even by SIGKILL, frees it at once. File systems that know no locks refuse nobody.

    Args:
      workdir: Created if need be.

    Yields:
      Nothing.

    Raises:
      ValueError: If another run holds it, or if nothing can be written there.

    Example:
      >>> import tempfile
      >>> workdir = Path(tempfile.mkdtemp())
      >>> with lock(workdir):
      ...     paths.lock(workdir).exists()
      True
      >>> paths.lock(workdir).exists()
      False
    """
    path = paths.lock(workdir)
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        file = _taken(path, workdir)
    except OSError as error:
        raise ValueError(f"cannot use {workdir} as work directory: {error.strerror}; choose another") from error
    with file:
        try:
            yield
        finally:
            with suppress(OSError):
                path.unlink()  # while it is held, so that nobody's lock but ours goes


def _taken(path: Path, workdir: Path) -> TextIO:
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            with file:
                raise ValueError(
                    f"{workdir} is in use by {_holder(file)}; wait for it or stop it, or choose another work directory"
                ) from error
        except OSError as error:
            if error.errno not in _UNKNOWN:
                file.close()
                raise
        if _lies_at(file, path):
            _sign(file)
            return file
        file.close()  # the run before removed it between our opening and our locking it


def _lies_at(file: TextIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _sign(file: TextIO) -> None:
    since = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
    file.truncate(0)
    file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since}))
    file.flush()


def _holder(file: TextIO) -> str:
    file.seek(0)
    try:
        return "process {pid} on {host} since {since}".format(**json.load(file))
    except (ValueError, KeyError):  # it has not signed yet
        return "another process"
