"""The command of Figure 3a."""

from experiments.lottery_pools.comparisons import figure3a
from experiments.lottery_pools.paper import main

main(figure3a)
