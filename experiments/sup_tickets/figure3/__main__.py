"""The command of Figure 3."""

from experiments.sup_tickets import paper, variants

paper.main(variants.figure3)
