"""Small text records: JSON, JSON lines and the table of results.

A whole file is written under a temporary name, flushed to the disk and renamed, so that a reader finds the old record
or the new one and never a part of either. A disk that is full or fails raises StorageError. Of several processes only
process 0 writes.
"""

import csv
import io
import itertools
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import jax
import numpy as np

from lpjax.errors import UserError
from lpjax.store.errors import wrap_os_errors


class Result(NamedTuple):
    """One measurement: a row of results.csv.

    Attributes:
      seed: The replicate.
      level: Number of prunings done; of a pool, its anchor's.
      kept: Prunable weights that live.
      total: Prunable weights, kept or not.
      density: `kept / total`, a fraction.
      method: `ticket`, `recalibrated`, or the name of the pool.
      split: `validation` or `test`; `size` for what depends on no images.
      metric: `accuracy` (fraction), `nll` (nats) or `ece` (fraction); of `size`, `parameters`, `flops` (per image),
        `bytes` and, if asked for, `milliseconds` (per batch), of the dense network and, as `shrunk_parameters` and so
        on, of the one that `lpjax.shrink` leaves.
      value: The measured number.
    """

    seed: int
    level: int
    kept: int
    total: int
    density: float
    method: str
    split: str
    metric: str
    value: float


def write_text(path: Path, text: str) -> None:
    """Write a text atomically.

    Args:
      path: Its directory is created if need be.
      text: As the file is to hold it.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically.

    Args:
      path: Its directory is created if need be.
      content: As the file is to hold it.
    """
    if jax.process_index():
        return
    new = path.with_name(f".{path.name}.new")  # one name: what a killed process left is written over
    with wrap_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with new.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except OSError:
            new.unlink(missing_ok=True)
            raise


def write_json(path: Path, record: Any) -> None:
    """Write a record atomically.

    Args:
      path: Its directory is created if need be.
      record: Nested dicts, sequences, strings and numbers; arrays become lists.

    Example:
      >>> import tempfile
      >>> path = Path(tempfile.mkdtemp()) / 'summary.json'
      >>> write_json(path, {'level': 3, 'density': np.float32(0.5)})
      >>> read_json(path)
      {'level': 3, 'density': 0.5}
    """
    write_text(path, json.dumps(record, indent=2, default=_plain) + "\n")


def read_json(path: Path) -> Any:
    """Read what `write_json` wrote.

    Args:
      path: The file.

    Returns:
      Nested dicts and lists.

    Raises:
      UserError: If the file is missing or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot read {path} ({error}); mend it, or delete it and run the same command again"
        ) from error


def read_json_or_empty(path: Path) -> dict[str, Any]:
    """Read what `write_json` wrote, or `{}` if it has not been written yet.

    Args:
      path: The file.

    Returns:
      Nested dicts and lists.

    Raises:
      UserError: If the file is no JSON.
    """
    return read_json(path) if path.exists() else {}


def read_trials(path: Path) -> list[dict[str, Any]]:
    """Read what a pool tried; names that older versions wrote become today's.

    Args:
      path: The trace of a pool; it may be missing.

    Returns:
      One record a candidate, in the order in which they were tried.

    Raises:
      UserError: If the file is no JSON.
    """
    trials = []
    for trial in read_json_or_empty(path).get("trials", ()):
        if "newcomer" in trial:  # as lpjax 0.1 called a candidate
            trial["candidate"] = trial.pop("newcomer")
        trials.append(trial)
    return trials


def append_jsonl(path: Path, record: Any) -> None:
    """Add one line to a file of JSON lines, after removing what an interrupted write left behind.

    The line is on the disk when this returns: no progress saved later outlives it when the power fails.

    Args:
      path: Created with its directory if need be.
      record: As for `write_json`.
    """
    if jax.process_index():
        return
    with wrap_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as file:
            _remove_torn_line(file)
            file.write(json.dumps(record, default=_plain).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def read_jsonl(path: Path) -> list[Any]:
    """Read JSON lines; a last line without its newline is the trace of an interruption and is left out.

    Args:
      path: May be missing: nothing has been recorded yet.

    Returns:
      One record a line.

    Raises:
      UserError: If a whole line is no JSON.

    Example:
      >>> import tempfile
      >>> path = Path(tempfile.mkdtemp()) / 'metrics.jsonl'
      >>> append_jsonl(path, {'epoch': 1, 'loss': 0.5})
      >>> read_jsonl(path)
      [{'epoch': 1, 'loss': 0.5}]
    """
    try:
        return [json.loads(line) for line in whole_lines(path)]
    except ValueError as error:
        raise UserError(f"{path} holds a line that is no JSON ({error}); mend or delete it") from error


def whole_lines(path: Path) -> list[bytes]:
    """Read the lines that end, without their ends; none if there is no file."""
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


def write_results(path: Path, rows: Iterable[Result | Mapping[str, Any]]) -> None:
    """Write the table of results atomically, sorted, so that the same measurements give the same bytes.

    Args:
      path: The CSV file.
      rows: Measurements, or dicts of their fields, in any order; floats are written so that they read back exactly.

    Raises:
      ValueError: If two rows measure the same thing.

    Example:
      >>> import tempfile
      >>> path = Path(tempfile.mkdtemp()) / 'results.csv'
      >>> write_results(path, [Result(0, 1, 80, 100, 0.8, 'ticket', 'test', 'accuracy', 0.75)])
      >>> print(path.read_text().strip())
      seed,level,kept,total,density,method,split,metric,value
      0,1,80,100,0.8,ticket,test,accuracy,0.75
    """
    results = [Result(**row) if isinstance(row, Mapping) else row for row in rows]
    ordered = sorted(map(_typed, results), key=_subject)
    for earlier, later in itertools.pairwise(ordered):
        if _subject(earlier) == _subject(later):
            raise ValueError(f"two results of {_subject(later)}: {earlier.value!r} and {later.value!r}; keep one")
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(Result._fields)
    table.writerows(ordered)
    write_text(path, text.getvalue())


def read_results(path: Path) -> list[Result]:
    """Read the table of results.

    Args:
      path: What `write_results` wrote.

    Returns:
      The rows; `pandas.DataFrame(rows)` has the columns by name.

    Raises:
      UserError: If the file is missing or another table.
    """
    try:
        header, *rows = csv.reader(io.StringIO(path.read_text(encoding="utf-8")))
        if tuple(header) != Result._fields:
            raise ValueError(f"its columns are {','.join(header)}, wanted {','.join(Result._fields)}")
        return [_typed(row) for row in rows]
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"cannot read results from {path}: {error}") from error


def _subject(row: Result) -> tuple[int, int, str, str, str]:
    return row.seed, row.level, row.method, row.split, row.metric


def _typed(row: Iterable[Any]) -> Result:
    kinds = Result.__annotations__.values()
    return Result(*(kind(cell) for kind, cell in zip(kinds, row, strict=True)))


def _plain(value: Any) -> Any:
    return np.asarray(value).tolist()


def _remove_torn_line(file: IO[bytes]) -> None:
    """Cut off a last line that an interruption left without its end."""
    if file.seek(0, os.SEEK_END) == 0:
        return
    file.seek(-1, os.SEEK_END)
    if file.read(1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
