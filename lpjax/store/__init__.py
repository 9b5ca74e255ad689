"""Disk: the work directory, its tickets and its records. The only room that knows Orbax."""

from lpjax.errors import StorageError
from lpjax.store import paths
from lpjax.store.checkpoints import (
    compact_mask,
    exists,
    restore,
    restore_mask,
    restore_ticket,
    save,
    save_ticket,
)
from lpjax.store.config import claim
from lpjax.store.events import append_metrics, ensure_tensorboard
from lpjax.store.lock import lock
from lpjax.store.progress import restore_progress, save_progress
from lpjax.store.provenance import environment
from lpjax.store.records import (
    Result,
    append_jsonl,
    read_json,
    read_jsonl,
    read_results,
    write_json,
    write_jsonl,
    write_results,
    write_text,
)
from lpjax.store.trouble import CannotWrite, writing
from lpjax.store.whole import DamagedProgress, DamagedTicket, remove

__all__ = [
    "CannotWrite",
    "DamagedProgress",
    "DamagedTicket",
    "Result",
    "StorageError",
    "append_jsonl",
    "append_metrics",
    "claim",
    "compact_mask",
    "ensure_tensorboard",
    "environment",
    "exists",
    "lock",
    "paths",
    "read_json",
    "read_jsonl",
    "read_results",
    "remove",
    "restore",
    "restore_mask",
    "restore_progress",
    "restore_ticket",
    "save",
    "save_progress",
    "save_ticket",
    "write_json",
    "write_jsonl",
    "write_results",
    "write_text",
    "writing",
]
