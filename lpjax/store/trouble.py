"""What goes wrong on disks: no room, no right to write, a device that fails."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class CannotWrite(ValueError):  # noqa: N818 (a sentence's beginning; "Error" would add nothing)
    """The disk took no more: it is full, read-only or failing."""

    def __init__(self, path: Path, reason: str) -> None:
        """Words the one line that is shown.

        Args:
          path: What could not be written.
          reason: Why, in the system's words.
        """
        super().__init__(
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
      CannotWrite: Where the system refused.

    Example:
      >>> try:
      ...     with writing(Path('runs/results.csv')):
      ...         raise OSError(28, 'No space left on device')
      ... except CannotWrite as refusal:
      ...     print(str(refusal).partition(';')[0])
      cannot write runs/results.csv: No space left on device
    """
    try:
        yield
    except OSError as error:
        raise CannotWrite(path, error.strerror or str(error)) from error
