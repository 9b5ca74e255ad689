"""Errors that the command shows as one line, with exit code 2. Every other error is a bug and keeps its traceback."""


class UserError(ValueError):
    """What a user can mend in the command, the config or the data: says what was got, what was wanted, what to do."""


class StorageError(OSError):
    """What the disk refused: it is full, read-only or failing. What was saved before is whole."""
