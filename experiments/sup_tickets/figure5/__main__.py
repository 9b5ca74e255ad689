"""The command of Figure 5."""

from experiments.sup_tickets import paper, uncertainty

paper.main(uncertainty.figure5)
