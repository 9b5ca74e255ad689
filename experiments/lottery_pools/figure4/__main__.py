"""The command of Figure 4."""

from experiments.lottery_pools.comparisons import figure4
from experiments.lottery_pools.paper import main

main(figure4)
