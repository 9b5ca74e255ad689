"""The command of Figure 7."""

from experiments.lottery_pools.comparisons import figure7
from experiments.lottery_pools.paper import main

main(figure7)
