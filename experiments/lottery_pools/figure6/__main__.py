"""Figure 6: pruning every mix of the search, or once after it.

Command: python -m experiments.lottery_pools.figure6 --preset=demo
"""

from experiments.lottery_pools.comparison import comparison
from experiments.lottery_pools.paper import main
from experiments.lottery_pools.runs import all_tickets, published_name, published_search
from experiments.options import Options


def make(options: Options) -> None:
    """Measure, draw and write."""
    runs = all_tickets(options)
    during = published_name(runs, "prune_during")
    searches = {during: published_search(), "prune_after": published_search(prune="after")}
    labels = {during: "pool (pruned during)"}
    comparison(options, "figure6", runs, searches, questions=[(during, "prune_after")], labels=labels)


if __name__ == "__main__":
    main(make, __doc__)
