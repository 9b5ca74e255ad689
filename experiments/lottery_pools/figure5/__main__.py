"""The command of Figure 5."""

from experiments.lottery_pools import comparisons, paper

paper.main(comparisons.figure5)
