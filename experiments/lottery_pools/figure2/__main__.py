"""The command of Figure 2."""

from experiments.lottery_pools.connectivity import figure2
from experiments.lottery_pools.paper import main

main(figure2)
