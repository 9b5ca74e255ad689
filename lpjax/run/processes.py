"""Several processes, one run: the first looks at the disk and writes records, the others are told.

Every process runs the same program. What decides how it goes on (which levels are done, whether a setting is refused)
must be the same for all, or one waits for ever for the others; and a file system shared by many hosts may show a new
file to one of them later than to another. So only the first process looks.
"""

import json
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

T = TypeVar("T")


def told(look: Callable[[], T]) -> T:
    """Lets the first process look, and tells all the others what it saw; each of them must ask.

    Args:
      look: Returns JSON values; called on the first process alone.

    Returns:
      What it returned there; as JSON brings it (lists for tuples) if there are several processes.

    Raises:
      ValueError: On every process, if `look` raised it.

    Example:
      >>> told(lambda: [1, 2])
      [1, 2]
    """
    if jax.process_count() == 1:
        return look()
    answer: dict[str, Any] = {}
    if jax.process_index() == 0:
        try:
            answer = {"saw": look()}
        except ValueError as error:
            answer = {"refused": str(error)}
    answer = json.loads(_broadcast(json.dumps(answer).encode()))
    if "refused" in answer:
        raise ValueError(answer["refused"])
    return answer["saw"]


def _broadcast(message: bytes) -> bytes:
    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(message))))
    padded = np.zeros(1 << max(size - 1, 0).bit_length(), np.uint8)  # few sizes, few programs
    if jax.process_index() == 0:
        padded[:size] = np.frombuffer(message, np.uint8)
    return np.asarray(multihost_utils.broadcast_one_to_all(padded))[:size].tobytes()
