"""Disk: the work directory, its tickets and its records. The only room that knows Orbax.

Read `paths` (every file name) and `records` (JSON, JSON lines, the table of results) first; then `atomic_dir`
(directories that are whole or not there), `checkpoints` (tickets), `progress` (trainings under way); then `events`
(metrics of a level), `config` and `lock` (who may write to a work directory), `provenance` and `errors`.
"""

from lpjax.errors import StorageError
from lpjax.store import paths
from lpjax.store.atomic_dir import DamagedProgress, DamagedTicket, remove
from lpjax.store.checkpoints import (
    compact_mask,
    exists,
    find_ticket,
    restore,
    restore_mask,
    restore_ticket,
    save,
    save_ticket,
)
from lpjax.store.config import bind_config, flat_fields  # noqa: F401 (for run/)
from lpjax.store.errors import wrap_os_errors
from lpjax.store.events import append_metrics, ensure_tensorboard, truncate_metrics
from lpjax.store.lock import lock
from lpjax.store.progress import restore_progress, save_progress
from lpjax.store.provenance import environment
from lpjax.store.records import (
    Result,
    append_jsonl,
    read_json,
    read_json_or_empty,
    read_jsonl,
    read_results,
    read_trials,
    write_bytes,
    write_json,
    write_results,
    write_text,
)

__all__ = [
    "DamagedProgress",
    "DamagedTicket",
    "Result",
    "StorageError",
    "append_jsonl",
    "append_metrics",
    "bind_config",
    "compact_mask",
    "ensure_tensorboard",
    "environment",
    "exists",
    "find_ticket",
    "lock",
    "paths",
    "read_json",
    "read_json_or_empty",
    "read_jsonl",
    "read_results",
    "read_trials",
    "remove",
    "restore",
    "restore_mask",
    "restore_progress",
    "restore_ticket",
    "save",
    "save_progress",
    "save_ticket",
    "truncate_metrics",
    "wrap_os_errors",
    "write_bytes",
    "write_json",
    "write_results",
    "write_text",
]
