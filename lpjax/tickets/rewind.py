"""Rewinding: where a pruned network starts again."""

FINAL = "final"


def rewinds_weights(rewind: str) -> bool:
    """Tell whether weights go back in time; with `'final'` (learning-rate rewinding) only the learning rate does.

    Example:
      >>> rewinds_weights('9ep'), rewinds_weights('final')
      (True, False)
    """
    return rewind != FINAL


def rewind_duration(rewind: str) -> str:
    """Return the duration at which a level after the first starts on the schedule: `'0it'` for `'final'`.

    Example:
      >>> rewind_duration('9ep'), rewind_duration('final')
      ('9ep', '0it')
    """
    return rewind if rewinds_weights(rewind) else "0it"
