"""The command of Figure 7."""

from experiments.lottery_pools import comparisons, paper

paper.main(comparisons.figure7)
