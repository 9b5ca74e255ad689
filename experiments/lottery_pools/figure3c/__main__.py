"""The command of Figure 3c."""

from experiments.lottery_pools import paper, robustness

paper.main(robustness.figure3c)
