"""The command of Table 1."""

from experiments.sup_tickets import accuracy, paper

paper.main(accuracy.table1)
