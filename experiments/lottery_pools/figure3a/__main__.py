"""Figure 3a: tickets against their pools, interpolated and averaged.

Command: python -m experiments.lottery_pools.figure3a --preset=demo
"""

from experiments.lottery_pools.comparison import comparison
from experiments.lottery_pools.paper import main
from experiments.lottery_pools.runs import all_tickets
from experiments.options import Options
from lpjax.run.pools import Search

POOLS = ("interpolation", "average")


def make(options: Options) -> None:
    """Measure, draw and write."""
    searches = {method: Search(method) for method in POOLS}
    comparison(options, "figure3a", all_tickets(options), searches, questions=[POOLS])


if __name__ == "__main__":
    main(make, __doc__)
