"""Disk: the work directory, its tickets and its records. The only room that knows Orbax."""

from lpjax.store import paths
from lpjax.store.checkpoints import (
    DamagedTicket,
    exists,
    restore,
    restore_mask,
    restore_ticket,
    save,
    save_ticket,
)
from lpjax.store.config import claim
from lpjax.store.events import append_metrics, ensure_tensorboard
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

__all__ = [
    "CannotWrite",
    "DamagedTicket",
    "Result",
    "append_jsonl",
    "append_metrics",
    "claim",
    "ensure_tensorboard",
    "environment",
    "exists",
    "paths",
    "read_json",
    "read_jsonl",
    "read_results",
    "restore",
    "restore_mask",
    "restore_ticket",
    "save",
    "save_ticket",
    "write_json",
    "write_jsonl",
    "write_results",
    "write_text",
    "writing",
]
