"""The command of the control of settled masks."""

from experiments.sup_tickets import accuracy, paper

paper.main(accuracy.settled)
