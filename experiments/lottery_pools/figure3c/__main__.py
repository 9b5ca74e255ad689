"""The command of Figure 3c."""

from experiments.lottery_pools.paper import main
from experiments.lottery_pools.robustness import figure3c

main(figure3c)
