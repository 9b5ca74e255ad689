"""The command of Figure 1."""

from experiments.lottery_pools import connectivity, paper

paper.main(connectivity.figure1)
