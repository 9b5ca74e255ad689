"""The command of Figure 6."""

from experiments.lottery_pools import comparisons, paper

paper.main(comparisons.figure6)
