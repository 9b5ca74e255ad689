"""How many weights a level keeps: the two rules in use, in integers."""

import math
from collections.abc import Callable

CountRule = Callable[[int, float, int], int]
"""`(kept, prune_fraction, never_pruned) -> kept after`."""


def torch_rule(kept: int, prune_fraction: float, never_pruned: int = 0) -> int:
    """Keep `n - round(f n)`, as `torch.nn.utils.prune` does.

    Args:
      kept: Kept prunable weights `n`.
      prune_fraction: Share `f` of them to remove.
      never_pruned: Ignored.

    Returns:
      How many weights stay.

    Example:
      >>> torch_rule(11_159_232, 0.2)
      8927386
    """
    del never_pruned
    return kept - round(prune_fraction * kept)


def openlth_rule(kept: int, prune_fraction: float, never_pruned: int = 0) -> int:
    """Keep `n - ceil(f (n + i)) - 1`, as OpenLTH does: its strict comparison removes the weight at the threshold too.

    Args:
      kept: Kept prunable weights `n`.
      prune_fraction: Share `f` of all weights that its masks cover.
      never_pruned: Weights `i` that its masks cover but its pruning ignores (a classifier, say).

    Returns:
      How many weights stay, at least 0.

    Example:
      >>> openlth_rule(11_678_912, 0.2)
      9343128

    Departs from the authors' code:
      Theirs removes every weight that ties with the threshold; here the count is exact and ties are resolved by index.
    """
    return max(kept - math.ceil(prune_fraction * (kept + never_pruned)) - 1, 0)


RULES: dict[str, CountRule] = {"openlth": openlth_rule, "torch": torch_rule}
