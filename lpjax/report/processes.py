"""What the processes of a run last said of themselves, and how long ago."""

from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from lpjax.report import reading
from lpjax.store import paths

_PATIENCE = 60.0  # seconds; a unit may take longer
_UNITS = 3  # so many without a status, and something is wrong
_BEFORE = 600.0  # seconds without a status before the first unit is done: data are read, programs compiled
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


class Status(NamedTuple):
    """The newest status of one process, as it wrote it, and how long ago that was."""

    process: int
    host: str = ""
    pid: int = 0
    state: str = ""  # 'working', 'finished' or 'stopped'
    stage: str = ""
    done: int = 0  # units of the stage
    total: int = 0  # 0 if it is not counted
    unit: str = ""
    note: str = ""  # more of the work at hand, or why it stopped
    rate: float = 0.0  # units a second; 0 before the first
    silence: float = 0.0  # seconds
    stale: bool = False  # says that it works, but has been silent for too long to be believed

    @property
    def left(self) -> float | None:
        """Seconds that the rest of the stage takes at this rate."""
        if not self.rate or self.state != "working" or self.stale:
            return None
        return (self.total - self.done) / self.rate


def statuses(workdir: Path, now: datetime) -> list[Status]:
    """Read the newest status of every process of the newest run, in their order."""
    found = []
    for path in sorted(paths.status(workdir, 0).parent.glob("process_*.json")):
        record = reading.json_or_empty(path)
        if {"process", "when", "state"} <= set(record):
            found.append(record)
    if not found:
        return []
    newest = max(found, key=lambda record: record["when"])
    return [_status(record, now) for record in found if record["process"] < newest.get("processes", 1)]


def _status(record: dict[str, Any], now: datetime) -> Status:
    status = Status(**{name: record[name] for name in Status._fields if name in record})
    rate = status.rate or 0.0
    silence = max((now - datetime.fromisoformat(record["when"])).total_seconds(), 0.0)
    patience = max(_PATIENCE, _UNITS / rate) if rate else _BEFORE
    return status._replace(rate=rate, silence=silence, stale=status.state == "working" and silence > patience)


def lasted(seconds: float) -> str:
    """Word a length of time in its largest two units, e.g. `2 h 5 min`."""
    if seconds >= _DAY:
        return f"{int(seconds // _DAY)} d {int(seconds % _DAY // _HOUR)} h"
    if seconds >= _HOUR:
        return f"{int(seconds // _HOUR)} h {int(seconds % _HOUR // _MINUTE)} min"
    if seconds >= _MINUTE:
        return f"{int(seconds // _MINUTE)} min"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
