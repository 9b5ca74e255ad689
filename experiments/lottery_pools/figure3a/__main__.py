"""The command of Figure 3a."""

from experiments.lottery_pools import comparisons, paper

paper.main(comparisons.figure3a)
