"""The command of the controls."""

from experiments.lottery_pools import comparisons, paper

paper.main(comparisons.controls)
