"""The command of Table 1."""

from experiments.lottery_pools import paper, tables

paper.main(tables.table1)
