"""The order in which newcomers are tried."""


def adjacent(anchor: int, levels: list[int] | range, newcomers: int = 0) -> list[int]:
    """Orders levels by distance from the anchor, the denser first where two are equally near.

    Args:
      anchor: The level the pool is built around.
      levels: The levels there are.
      newcomers: How many to keep; 0 for all.

    Returns:
      The newcomers' levels, the anchor's own left out.

    Example:
      >>> adjacent(2, range(5))
      [1, 3, 0, 4]

    References:
      Yin et al., Lottery Pools, AAAI 2023, Algorithm 2.

    Departs from the authors' code:
      Their `search_num` counts the anchor too: 19 there is 18 newcomers here.
    """
    order = sorted((level for level in levels if level != anchor), key=lambda level: (abs(level - anchor), level))
    return order[: newcomers or None]
