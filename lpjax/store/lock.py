"""One run at a time in a work directory: a lock that the kernel takes back from a process that dies."""

import errno
import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from lpjax.errors import UserError
from lpjax.store import paths

_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)


@contextmanager
def lock(workdir: Path) -> Iterator[None]:
    """Hold a work directory, so that no second run writes there.

    A process that dies, even by SIGKILL, frees it at once. File systems that know no locks refuse nobody.

    Args:
      workdir: Created if need be.

    Yields:
      Nothing.

    Raises:
      UserError: If another run holds it, or if nothing can be written there.

    Example:
      >>> import tempfile
      >>> workdir = Path(tempfile.mkdtemp())
      >>> with lock(workdir):
      ...     paths.lock(workdir).exists()
      True
      >>> paths.lock(workdir).exists()
      False
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        held = _take(paths.lock(workdir), workdir)
    except OSError as error:
        raise UserError(f"cannot use {workdir} as work directory: {error.strerror}; choose another") from error
    with held:
        yield


def _take(path: Path, workdir: Path) -> ExitStack:
    """Take the lock; leaving what it returns, or failing midway, removes the file and closes it."""
    while True:
        with ExitStack() as held:
            file = held.enter_context(path.open("ab+", buffering=0))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UserError(
                    f"{workdir} is in use by {_holder(file)}; wait for it or stop it, or choose another work directory"
                ) from error
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
            if _lies_at(file, path):  # else the run before removed it between our opening and our locking it
                held.callback(_remove, path)  # while it is held, so that nobody's lock but ours goes
                since = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
                file.truncate(0)
                file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since}).encode())
                return held.pop_all()


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _lies_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _holder(file: BinaryIO) -> str:
    file.seek(0)
    try:
        return "process {pid} on {host} since {since}".format(**json.load(file))
    except (ValueError, KeyError):  # it has not written its name yet
        return "another process"
