"""The command of Figure 4."""

from experiments.sup_tickets import paper, variants

paper.main(variants.figure4)
