"""Metrics for TensorBoard: event files beside `metrics.jsonl`, written without TensorFlow.

A directory has one event file. It is opened, grown by a whole record and closed again, line by line, so that whatever
ends the program costs the last line at most. `metrics.jsonl` stays the record that counts.
"""

import importlib.util
import os
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from numbers import Real
from pathlib import Path
from typing import Any

import jax

from lpjax.errors import UserError
from lpjax.store.records import append_jsonl
from lpjax.store.trouble import writing

_VERSION = "brain.Event:2"
_LENGTH, _CHECKSUM = struct.Struct("<Q"), struct.Struct("<I")


def ensure_tensorboard() -> None:
    """Refuses event files where the package that writes them is missing.

    Raises:
      UserError: If tensorboardX is not installed.
    """
    if importlib.util.find_spec("tensorboardX") is None:
        raise UserError(
            "tensorboard is True, but tensorboardX, which writes event files, is not installed; "
            "run: pip install 'lpjax[tensorboard]', or leave tensorboard False"
        )


def append_metrics(path: Path, line: Mapping[str, Any], events: bool) -> None:
    """Adds a line to the record of a level's epochs and, if asked, its numbers to the event file beside it.

    Of several processes the first writes. Where the event file has gone past the step already, the level was cut back:
    TensorBoard is told to forget what came from there on, and shows every step once.

    Args:
      path: The file of JSON lines, created with its directory if need be.
      line: `step`, the optimizer's, and metrics by name; what is no number goes into the JSON line alone.
      events: Whether to write an event file too; its tags are the names of the metrics.

    Raises:
      StorageError: If the disk is full or refuses; the lines before are whole then.

    Example:
      >>> import tempfile
      >>> path = Path(tempfile.mkdtemp()) / 'metrics.jsonl'
      >>> append_metrics(path, {'step': 100, 'loss': 0.5}, events=True)
      >>> sorted(file.name.split('.')[0] for file in path.parent.iterdir())
      ['events', 'metrics']
    """
    append_jsonl(path, line)
    if events and jax.process_index() == 0:
        with writing(path.with_name("events.out.tfevents")):
            _append(path.parent, int(line["step"]), _numbers(line))


def _append(directory: Path, step: int, numbers: Mapping[str, float]) -> None:
    from tensorboardX.proto.event_pb2 import Event, SessionLog
    from tensorboardX.proto.summary_pb2 import Summary

    now = time.time()
    path = max(directory.glob("events.out.tfevents.*"), default=None)
    path = path or directory / f"events.out.tfevents.{int(now):010d}.{socket.gethostname()}"
    fresh = []
    with path.open("ab+") as file:
        file.seek(0)
        records = list(_records(file.read()))
        file.truncate(sum(map(len, records)))
        if not records:
            fresh.append(Event(wall_time=now, file_version=_VERSION))
        elif Event.FromString(_payload(records[-1])).step >= step:
            fresh.append(Event(wall_time=now, step=step, file_version=_VERSION))
            fresh.append(Event(wall_time=now, step=step, session_log=SessionLog(status=SessionLog.START)))
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in numbers.items()]
        fresh.append(Event(wall_time=now, step=step, summary=Summary(value=values)))
        file.seek(0, os.SEEK_END)
        file.write(b"".join(_record(event.SerializeToString()) for event in fresh))


def _numbers(line: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in line.items() if name != "step" and isinstance(value, Real)}


def _record(payload: bytes) -> bytes:
    """Frames bytes as TFRecord does: their length, its checksum, the bytes, their checksum."""
    from tensorboardX.record_writer import masked_crc32c

    length = _LENGTH.pack(len(payload))
    checksums = [_CHECKSUM.pack(masked_crc32c(part)) for part in (length, payload)]
    return length + checksums[0] + payload + checksums[1]


def _records(stored: bytes) -> Iterator[bytes]:
    """Splits a file into its records; the part of one that an interruption left at the end is left out."""
    around, start = _LENGTH.size + 2 * _CHECKSUM.size, 0
    while start + around <= len(stored):
        stop = start + around + _LENGTH.unpack_from(stored, start)[0]
        if stop > len(stored):
            return
        yield stored[start:stop]
        start = stop


def _payload(record: bytes) -> bytes:
    return record[_LENGTH.size + _CHECKSUM.size : -_CHECKSUM.size]
