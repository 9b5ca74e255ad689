"""What goes wrong on disks: no room, no right to write, a device that fails."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lpjax.errors import StorageError

CannotWrite = StorageError


def cannot_write(path: Path, reason: str) -> StorageError:
    """Words the one line that is shown of what could not be written, and why."""
    return StorageError(
        f"cannot write {path}: {reason}; free some space (or choose another work directory) and run the same "
        "command again: what was saved is whole"
    )


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what the system says of a failed write into one line.

    Args:
      path: What is being written.

    Yields:
      Nothing.

    Raises:
      StorageError: Where the system refused.

    Example:
      >>> try:
      ...     with writing(Path('runs/results.csv')):
      ...         raise OSError(28, 'No space left on device')
      ... except StorageError as refusal:
      ...     print(str(refusal).partition(';')[0])
      cannot write runs/results.csv: No space left on device
    """
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise cannot_write(path, error.strerror or str(error)) from error
