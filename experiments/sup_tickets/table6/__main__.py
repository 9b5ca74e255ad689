"""The command of Table 6."""

from experiments.sup_tickets import paper, uncertainty

paper.main(uncertainty.table6)
