"""The command of Figure 4."""

from experiments.lottery_pools import comparisons, paper

paper.main(comparisons.figure4)
