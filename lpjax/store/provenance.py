"""What a run ran on."""

import platform
import subprocess
from collections import Counter
from importlib import metadata
from pathlib import Path
from typing import Any

import jax

from lpjax.version import __version__

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def environment() -> dict[str, Any]:
    """Describe versions, devices and source, without naming the machine.

    Returns:
      `python`, `lpjax`, one version a package, `platform`, `devices` (how many of each kind, over all processes),
      `processes`, and `commit`: the git commit of the source tree, ending in `-dirty` where it holds other changes,
      or `None` where the package was installed.

    Example:
      >>> sorted(environment())[:4]
      ['commit', 'devices', 'flax', 'jax']
    """
    return {
        "python": platform.python_version(),
        "lpjax": __version__,
        **{name: metadata.version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "devices": dict(Counter(f"{device.platform} {device.device_kind}" for device in jax.devices())),
        "processes": jax.process_count(),
        "commit": _commit(),
    }


def _commit() -> str | None:
    # An installed package may lie inside somebody else's repository: only one that tracks this file is ours.
    if _git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None
    # Not `git describe --dirty`: that takes the lock of the index, and on a full disk leaves it behind.
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--untracked-files=no")
    return commit and f"{commit}-dirty" if changes else commit


def _git(*arguments: str) -> str | None:
    command = ["git", "--no-optional-locks", "-C", str(Path(__file__).parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, check=True, text=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
