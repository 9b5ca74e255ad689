"""The command of Figure 2."""

from experiments.lottery_pools import connectivity, paper

paper.main(connectivity.figure2)
