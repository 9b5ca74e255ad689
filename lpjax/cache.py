"""The user's folders: home, cache, temporary files; also in a container whose user has no home directory."""

import os
import tempfile
from pathlib import Path

from lpjax.errors import UserError


def expand_home(path: str | Path) -> Path:
    """Replace `~` by the home directory, which not every user of a container has."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UserError(f"{path}: there is no home directory for '~'; give a path without it") from error


def cache_directory() -> Path:
    """Return lpjax's folder in the user's cache, or `temporary_directory()` where there is none that can be written."""
    try:
        directory = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lpjax"
        directory.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # `Path.home` raises RuntimeError where there is no home directory
        return temporary_directory()
    return directory if os.access(directory, os.W_OK) else temporary_directory()


def temporary_directory() -> Path:
    """Return this user's folder among the temporary files: the same one in every process of a machine."""
    directory = Path(tempfile.gettempdir()) / f"lpjax-{os.getuid()}"
    directory.mkdir(mode=0o700, exist_ok=True)
    if directory.stat().st_uid != os.getuid():  # anybody may create files there
        return Path(tempfile.mkdtemp(prefix="lpjax-"))
    return directory
