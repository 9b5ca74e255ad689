"""What the disk refused, in one line."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lpjax.errors import StorageError
from lpjax.wording import system_refusal


@contextmanager
def wrap_os_errors(path: Path) -> Iterator[None]:
    """Turn what the system, or Orbax for it, says of a failed write into one line.

    Args:
      path: What is being written.

    Yields:
      Nothing.

    Raises:
      StorageError: Where the system refused.

    Example:
      >>> try:
      ...     with wrap_os_errors(Path('runs/results.csv')):
      ...         raise OSError(28, 'No space left on device')
      ... except StorageError as refusal:
      ...     print(str(refusal).partition(';')[0])
      cannot write runs/results.csv: No space left on device
    """
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        reason = system_refusal(error)
        if reason is None:
            raise
        raise StorageError(
            f"cannot write {path}: {reason}; free some space (or choose another work directory) and run the same "
            "command again: what was saved is whole"
        ) from error
