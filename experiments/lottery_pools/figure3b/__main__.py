"""The command of Figure 3b."""

from experiments.lottery_pools import comparisons, paper

paper.main(comparisons.figure3b)
