"""Durations: numbers that carry their unit."""

import re

_FORM = re.compile(r"(\d+)(ep|it)")


def steps(duration: str, steps_per_epoch: int) -> int:
    """Turns a duration into optimizer steps.

    Args:
      duration: `'182ep'` (epochs) or `'500it'` (iterations).
      steps_per_epoch: Batches in one pass over the training images.

    Returns:
      A number of steps.

    Raises:
      ValueError: If the text has another form.

    Example:
      >>> steps('9ep', 352), steps('500it', 352)
      (3168, 500)
    """
    match = _FORM.fullmatch(str(duration))
    if match is None:
        raise ValueError(
            f"duration {duration!r} is none; write a whole number of epochs as '182ep', of iterations as '500it'"
        )
    number, unit = match.groups()
    return int(number) * (steps_per_epoch if unit == "ep" else 1)
