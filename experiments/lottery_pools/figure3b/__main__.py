"""The command of Figure 3b."""

from experiments.lottery_pools.comparisons import figure3b
from experiments.lottery_pools.paper import main

main(figure3b)
