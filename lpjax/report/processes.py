"""What the processes of a run last said of themselves, and how long ago."""

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from lpjax.report import reading
from lpjax.store import paths

_PATIENCE = 60.0  # seconds; a unit may take longer
_UNITS = 3  # so many without a sign, and something is wrong
_BEFORE = 600.0  # seconds without a sign before the first unit is done: data are read, programs compiled
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


class Sign(NamedTuple):
    """The newest sign of life of one process.

    Attributes:
      process: Its number.
      host: The machine it ran on.
      pid: Its number there.
      state: `'working'`, `'finished'` or `'stopped'`.
      stage: What it works on.
      done: Units of the stage done.
      total: Units of the stage; 0 if it is not counted.
      unit: What they are.
      note: More of the work at hand, or why it stopped.
      rate: Units a second; 0 before the first.
      silence: Seconds since the sign.
      stale: Whether it is working by what it said, but has been silent for too long to be believed.
    """

    process: int
    host: str
    pid: int
    state: str
    stage: str
    done: int
    total: int
    unit: str
    note: str
    rate: float
    silence: float
    stale: bool

    @property
    def left(self) -> float | None:
        """Seconds that the rest of the stage takes at this rate."""
        return (
            (self.total - self.done) / self.rate if self.rate and self.state == "working" and not self.stale else None
        )


def signs(workdir: Path, now: datetime) -> list[Sign]:
    """Reads the newest sign of every process.

    Args:
      workdir: A run's.
      now: To count silence up to.

    Returns:
      One record a process of the newest run, in their order; none where none has left a status.
    """
    found = [reading.json_or_empty(path) for path in sorted(paths.status(workdir, 0).parent.glob("process_*.json"))]
    told = [status for status in found if {"process", "when", "state"} <= set(status)]
    if not told:
        return []
    newest = max(told, key=lambda status: status["when"])
    return [_sign(status, now) for status in told if status["process"] < newest.get("processes", 1)]


def _sign(status: dict, now: datetime) -> Sign:
    silence = max((now - datetime.fromisoformat(status["when"])).total_seconds(), 0.0)
    rate = status.get("rate") or 0.0
    patience = max(_PATIENCE, _UNITS / rate) if rate else _BEFORE
    return Sign(
        process=status["process"],
        host=status.get("host", ""),
        pid=status.get("pid", 0),
        state=status["state"],
        stage=status.get("stage", ""),
        done=status.get("done", 0),
        total=status.get("total", 0),
        unit=status.get("unit", ""),
        note=status.get("note", ""),
        rate=rate,
        silence=silence,
        stale=status["state"] == "working" and silence > patience,
    )


def lasted(seconds: float) -> str:
    """Words a length of time, in its largest two units.

    Args:
      seconds: From 0 on.

    Returns:
      Words.

    Example:
      >>> lasted(4.4), lasted(190), lasted(7500), lasted(200_000)
      ('4.4 s', '3 min', '2 h 5 min', '2 d 7 h')
    """
    for small, large, names in ((_HOUR, _DAY, ("d", "h")), (_MINUTE, _HOUR, ("h", "min"))):
        if seconds >= large:
            return f"{int(seconds // large)} {names[0]} {int(seconds % large // small)} {names[1]}"
    return (
        f"{int(seconds // _MINUTE)} min"
        if seconds >= _MINUTE
        else f"{seconds:.2g} s"
        if seconds < 10
        else f"{seconds:.0f} s"
    )
