"""What other libraries say in words alone: the only place that looks into the text of their errors.

Every entry names the version in which the words were seen; `tests/test_wording.py` provokes them and fails when they
change.
"""

import errno
import os
import re

_TENSORSTORE_SYSTEM_ERROR = re.compile(r"os_error_code='(\d+)'")  # tensorstore 0.1.86
_TENSORSTORE_FILE_REMOVED = re.compile("NOT_FOUND: Error .* in OCDBT database")  # tensorstore 0.1.86
_LOOP_CLOSED = "Event loop is closed"  # asyncio of Python 3.11
_ARRAY_RECORD_SYSTEM_CALL = "() failed: "  # array-record 0.8.6


def system_refusal(error: BaseException | None) -> str | None:
    """Return what the operating system says of a failed read or write, or None for any other error.

    Orbax's storage, tensorstore, raises ValueError for these, with the number of the error in its message.
    """
    if isinstance(error, OSError):
        return error.strerror or str(error)
    code = _TENSORSTORE_SYSTEM_ERROR.search(str(error))
    return os.strerror(int(code[1])) if code else None


def is_late_report(error: BaseException | None) -> bool:
    """Tell whether tensorstore reports a failed write to Orbax after Orbax has given up at an earlier one.

    Orbax's loop may be closed by then, or the files removed that a thread was still writing to.
    """
    message = str(error)
    return message == _LOOP_CLOSED or _TENSORSTORE_FILE_REMOVED.match(message) is not None


def is_system_trouble(error: BaseException) -> bool:
    """Tell whether ArrayRecord, which raises RuntimeError, could not read for a reason other than what the file holds.

    A file that does not exist counts as broken data: trying again does not help.
    """
    message = str(error)
    system_error = isinstance(error, MemoryError) or isinstance(getattr(error, "errno", None), int)
    return (system_error or _ARRAY_RECORD_SYSTEM_CALL in message) and os.strerror(errno.ENOENT) not in message


_NO_CLUSTER = "coordinator_address"  # jax 0.10.2, jax.distributed.initialize
_BACKEND_IN_USE = "must be called before any JAX"  # jax 0.10.2, likewise
_RUNTIME_STATUS = re.compile(r"[A-Z_]{5,}: ")  # jax 0.10.2: what its runtime says begins so, whatever the error's type
_QUOTED_TRACEBACK = "Traceback (most recent call last)"  # absl-py 2.5.1, of a config file that raised


def found_no_cluster(error: BaseException) -> bool:
    """Tell whether JAX was told nothing about other processes, and found nothing that starts several."""
    return _NO_CLUSTER in str(error)


def backend_in_use(error: BaseException) -> bool:
    """Tell whether JAX refuses to join other processes because it has computed something already."""
    return _BACKEND_IN_USE in str(error)


def is_runtime_status(error: BaseException) -> bool:
    """Tell whether an error comes from JAX's runtime, as when another process of the run has stopped."""
    return bool(_RUNTIME_STATUS.match(str(error)))


def reason_of_flags(error: BaseException) -> str:
    """Return what absl says of a wrong flag; of a config file that raised, its traceback's last line and place."""
    text = str(error.args[0] if error.args else error).strip()
    if _QUOTED_TRACEBACK not in text:
        return text
    lines = text.splitlines()
    places = [line.strip() for line in lines if line.strip().startswith("File ")]
    return f"{lines[-1].strip()} ({places[-1]})" if places else lines[-1].strip()
