"""The command of Table 2."""

from experiments.sup_tickets import accuracy, paper

paper.main(accuracy.table2)
