"""The command of Figure 6."""

from experiments.lottery_pools.comparisons import figure6
from experiments.lottery_pools.paper import main

main(figure6)
