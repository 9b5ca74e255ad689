"""The command of Figure 5."""

from experiments.lottery_pools.comparisons import figure5
from experiments.lottery_pools.paper import main

main(figure5)
