"""Rewinding: where a pruned network starts again."""

FINAL = "final"


def rewinds_weights(rewind: str) -> bool:
    """Tell whether weights go back in time; with `'final'` only the learning rate does.

    Args:
      rewind: A duration such as `'0it'` or `'9ep'`, or `'final'`.

    Returns:
      Whether the next level starts from the weights at that duration rather than from the trained ones.

    Example:
      >>> rewinds_weights('9ep'), rewinds_weights('final')
      (True, False)
    """
    return rewind != FINAL


def rewind_duration(rewind: str) -> str:
    """Say where on the schedule a level after the first starts.

    Args:
      rewind: A duration or `'final'`.

    Returns:
      The duration; `'0it'` for `'final'`, whose learning rate starts over.

    Example:
      >>> rewind_duration('9ep'), rewind_duration('final')
      ('9ep', '0it')
    """
    return rewind if rewinds_weights(rewind) else "0it"
