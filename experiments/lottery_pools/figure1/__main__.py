"""The command of Figure 1."""

from experiments.lottery_pools.connectivity import figure1
from experiments.lottery_pools.paper import main

main(figure1)
