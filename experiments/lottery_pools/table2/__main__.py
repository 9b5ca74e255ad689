"""The command of Table 2."""

from experiments.lottery_pools import paper, tables

paper.main(tables.table2)
