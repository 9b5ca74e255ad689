"""Metrics of a level: `metrics.jsonl`, the record that counts, and event files beside it for TensorBoard."""

import importlib.util
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any

import jax

from lpjax.errors import UserError
from lpjax.store import paths
from lpjax.store.atomic_dir import DamagedProgress
from lpjax.store.errors import wrap_os_errors
from lpjax.store.records import append_jsonl, whole_lines, write_text

_QUEUE = 10_000  # events; more than a line has metrics, so that no line waits for a disk that refuses


def ensure_tensorboard() -> None:
    """Refuse event files where the package that writes them is missing.

    Raises:
      UserError: If tensorboardX is not installed.
    """
    if importlib.util.find_spec("tensorboardX") is None:
        raise UserError(
            "tensorboard: got True, but tensorboardX, which writes event files, is not installed; "
            "run: pip install 'lpjax[tensorboard]', or leave tensorboard False"
        )


def append_metrics(path: Path, line: Mapping[str, Any], events: bool) -> None:
    """Add a line to the record of a level's epochs and, if asked, its numbers to an event file beside it.

    Of several processes the first writes. Every line has an event file of its own, written and closed, so that a killed
    program loses the last line at most. It tells TensorBoard to forget what was written from its step on, so that a
    level that was cut back shows every step once.

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
    if not events or jax.process_index():
        return
    from tensorboardX import SummaryWriter

    step = int(line["step"])
    with (
        wrap_os_errors(path.with_name("events.out.tfevents")),
        SummaryWriter(str(path.parent), purge_step=step, max_queue=_QUEUE, filename_suffix=f".{step:010d}") as writer,
    ):
        for name, value in line.items():
            if name != "step" and isinstance(value, Real):
                writer.add_scalar(name, float(value), step)


def truncate_metrics(path: Path, lines: int) -> None:
    r"""Cut the record of a level's epochs back to the lines that the saved progress of its training knows.

    Of several processes the first does.

    Args:
      path: The file of JSON lines; may be missing if `lines` is 0.
      lines: How many to keep, at least 0; the file is removed if none.

    Raises:
      DamagedProgress: If the file has fewer whole lines.
      StorageError: If the disk is full or refuses; the old file is whole then.

    Example:
      >>> import tempfile
      >>> path = Path(tempfile.mkdtemp()) / 'metrics.jsonl'
      >>> for epoch in (1, 2, 3):
      ...     append_jsonl(path, {'epoch': epoch})
      >>> truncate_metrics(path, 1)
      >>> path.read_text()
      '{"epoch": 1}\n'
    """
    if jax.process_index():
        return
    if lines == 0:
        with wrap_os_errors(path):
            path.unlink(missing_ok=True)
        return
    kept = whole_lines(path)[:lines]
    if len(kept) < lines:
        raise DamagedProgress(
            paths.progress(path.parent), f"{path.name} has {len(kept)} of the {lines} lines that it knows"
        )
    write_text(path, b"\n".join([*kept, b""]).decode())
