"""The order in which candidates are tried."""

from collections.abc import Sequence


def neighbors(anchor: int, levels: Sequence[int], count: int = 0) -> list[int]:
    """Order levels by distance from the anchor, the denser first where two are equally near.

    Args:
      anchor: The level the pool is built around.
      levels: The levels there are.
      count: How many to keep; 0 for all.

    Returns:
      The candidates' levels, without the anchor's own.

    Raises:
      ValueError: If `count` is negative.

    Example:
      >>> neighbors(2, range(5))
      [1, 3, 0, 4]

    References:
      Yin et al., Lottery Pools, AAAI 2023, Algorithm 2.

    Departs from the authors' code:
      Their `search_num` counts the anchor too: 19 there is 18 candidates here.
    """
    if count < 0:
        raise ValueError(f"count: got {count}, expected 0 (all levels) or more")
    order = sorted((level for level in levels if level != anchor), key=lambda level: (abs(level - anchor), level))
    return order[: count or None]
