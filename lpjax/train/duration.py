"""Durations: numbers with a unit, epochs or iterations."""

import re

_FORM = re.compile(r"(\d+)(ep|it)")


def steps(duration: str, steps_per_epoch: int) -> int:
    """Convert a duration, `'182ep'` (epochs) or `'500it'` (iterations), to optimizer steps.

    Example:
      >>> steps('9ep', 352), steps('500it', 352)
      (3168, 500)
    """
    match = _FORM.fullmatch(str(duration))
    if match is None:
        raise ValueError(
            f"duration: got {duration!r}, expected an integer with a unit, '182ep' for epochs or '500it' for iterations"
        )
    number, unit = match.groups()
    if unit == "ep":
        return int(number) * steps_per_epoch
    return int(number)
