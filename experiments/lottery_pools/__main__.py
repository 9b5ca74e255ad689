"""Every figure and table of Lottery Pools, one after another, in one process.

Command: python -m experiments.lottery_pools --preset=demo
"""

from functools import partial

from experiments.keeping import make_all
from experiments.lottery_pools.paper import main

EXPERIMENTS = (
    *("table2", "figure3a", "figure3b", "figure3c", "figure4", "figure5", "figure6", "figure7"),
    *("figure1", "figure2", "table1"),
)
make = partial(make_all, names=EXPERIMENTS)

if __name__ == "__main__":
    main(make, __doc__)
