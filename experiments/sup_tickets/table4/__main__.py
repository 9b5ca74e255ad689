"""The command of Table 4."""

from experiments.sup_tickets import accuracy, paper

paper.main(accuracy.table4)
